"""Cases that exporters of other libraries make: LightGBM, scikit-learn, ONNX Runtime's quantization."""

import pathlib
import tempfile

import lightgbm
import numpy as np
import onnx
from onnx import numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmFloats
from onnxruntime.quantization import QuantType, quantize_dynamic
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from case_files import F, RECORDS, Case, graph, node, rows_manifest, value


def quantized():
    """One scale for all rows of a run: what a row gets depends on the others."""
    generator = np.random.default_rng(7)
    weights = generator.standard_normal((16, 8)).astype(np.float32)
    plain = graph(
        [node("MatMul", ["x", "w"], ["m"]), node("Softmax", ["m"], ["y"])],
        [value("x", F, ["n", 16])],
        [value("y", F, ["n", 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    with tempfile.TemporaryDirectory() as folder:
        source, target = pathlib.Path(folder) / "plain.onnx", pathlib.Path(folder) / "quantized.onnx"
        onnx.save(plain, source)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        model = onnx.load(target)
    case = Case("quant-dyn", "A layer that quantizes its input as it comes.", model)
    case.manifest("stateless", rows_manifest("float32", 16))
    turns = []
    for number in range(RECORDS):
        rows = generator.standard_normal((1 + number % 4, 16)).astype(np.float32) / 4
        # A loud row after quiet ones: it coarsens them.
        rows[1:2] *= 32
        turns.append({"x": rows})
    case.stateless(turns, {"y": "y"})


def classifier(name, description, zipmap, outputs, emitted, counts):
    """LightGBM on Fisher's irises. Its exporter says that there is one label, however many rows there are."""
    data = load_iris()
    model = lightgbm.LGBMClassifier(
        n_estimators=10, verbose=-1, n_jobs=1, random_state=0, deterministic=True, force_row_wise=True
    ).fit(data.data, data.target)
    made = convert_lightgbm(
        model,
        name=name,
        initial_types=[("X", LightGbmFloats([None, 4]))],
        target_opset=9,
        zipmap=zipmap,
    )
    case = Case(name, description, made)
    case.manifest("stateless", rows_manifest("float32", 4, outputs, source="X"))
    rows = data.data.astype(np.float32)
    turns = []
    for number in range(RECORDS):
        first = number * 4
        turns.append({"X": rows[first : first + counts[number % len(counts)]]})
    case.stateless(turns, emitted, {"X": "x"})


def pipeline():
    """scikit-learn: a column of numbers beside one of words."""
    generator = np.random.default_rng(8)
    cities = np.array(["bern", "oslo", "rome"])
    age = generator.integers(15, 70, 60).astype(np.float32)
    city = cities[generator.integers(0, 3, 60)]
    label = (age + generator.normal(0, 8, 60) + 4 * (city == "oslo") > 40).astype(np.int64)
    import pandas

    table = pandas.DataFrame({"age": age, "city": city})
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["age"]), ("words", OneHotEncoder(), ["city"])]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(table, label)
    made = to_onnx(
        model,
        name="pipeline",
        initial_types=[
            ("age", FloatTensorType([None, 1])),
            ("city", StringTensorType([None, 1])),
        ],
        options={id(model): {"zipmap": False}},
        target_opset={"": 13, "ai.onnx.ml": 1},
    )
    case = Case("sk-mixed-strings", "A classifier of a number and a word.", made)
    case.manifest(
        "stateless",
        """
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs:
      age: { from: input, input: age, batch_axis: 0 }
      city: { from: input, input: city, batch_axis: 0 }
    outputs:
      probabilities: { emit: probabilities, batch_axis: 0 }

inputs:
  age: { dtype: float32, shape: [n, 1] }
  city: { dtype: string, shape: [n, 1] }

golden: { file: golden.json }
""",
    )
    turns = [
        {"age": np.float32([[20 + number]]), "city": cities[number % 3].reshape(1, 1)}
        for number in range(RECORDS)
    ]
    case.stateless(turns, {"probabilities": "probabilities"})


def exports():
    quantized()
    classifier(
        "lgb-null1",
        "Classifies irises; the label's batch axis is not said.",
        False,
        "label: { emit: label, batch_axis: null }\n"
        "      probabilities: { emit: probabilities, batch_axis: 0 }",
        {"label": "label", "probabilities": "probabilities"},
        [1],
    )
    classifier(
        "lgb-zipmap-true",
        "Classifies irises; its probabilities are a sequence of maps, which is not bound.",
        True,
        "label: { emit: label, batch_axis: 0 }",
        {"label": "label"},
        [1, 2, 3],
    )
    pipeline()
