"""Exports small models from PyTorch, scikit-learn, LightGBM and transformers, as docs/python.md explains.

    python export_models.py FOLDER [NAME ...]

makes FOLDER/<name>/1/model.onnx, which `cabstand serve FOLDER` serves, and beside each version's folder
example.npz (inputs) and expected.npz (what the model answers to them). A file counts once ONNX Runtime has
run it: it must answer what its framework answers, and each row must get alone what it gets among others.
All models are made here, with random weights or from random data; nothing is downloaded.

Nothing in the project needs this script. It wants onnx, onnxruntime, numpy and, each for its own examples,
torch with onnxscript, scikit-learn with skl2onnx and pandas, lightgbm with onnxmltools, and transformers;
an example whose packages are missing is left out.

Tried in November 2026 on Python 3.11 with numpy 2.4.6, onnx 1.22.0, onnxruntime 1.32.0, torch 2.15.0,
onnxscript 0.7.2, scikit-learn 1.9.1, skl2onnx 1.20.0, pandas 3.1.1, lightgbm 4.7.0, onnxmltools 1.16.0 and
transformers 5.24.0: every example ran, on a CPU. onnxruntime-node 1.30, which hosters use, gave the same
answers. hummingbird-ml 0.4.11 could not export with this torch; optimum-onnx 0.1.0 could, in an environment
of its own with transformers 4.57.6, and is not used here.
"""

import argparse
import logging
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

# Before ONNX Runtime is imported: it sends telemetry otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime

from onnx_files import close, save, verify

EXAMPLES = {}
# The axis along which rows lie, where it is not 0.
ROWS = {"gru-stream": {"h": 1, "h_next": 1}}


def example(needs):
    """Names the packages of an example, which is left out where they are missing."""

    def add(function):
        EXAMPLES[function.__name__.replace("_", "-")] = (function, needs)
        return function

    return add


@example(["torch", "onnxscript"])
def mlp_classifier(path):
    """PyTorch: features to class probabilities."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3), nn.Softmax(dim=-1)
    )
    # As it predicts, not as it trains: Dropout and BatchNorm are told apart by this alone.
    model.eval()
    features = torch.randn(3, 4)
    torch.onnx.export(
        model,
        (features,),
        path,
        input_names=["features"],
        output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    return {"features": features.numpy()}, [model(features).detach().numpy()]


@example(["torch", "onnxscript"])
def gru_stream(path):
    """PyTorch: a GRU whose state goes in and comes out, so that a stream can be cut anywhere."""
    import torch
    from torch import nn

    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(8, 32, batch_first=True)
            self.head = nn.Linear(32, 2)

        def forward(self, x, h):
            y, h_next = self.gru(x, h)
            return self.head(y), h_next

    torch.manual_seed(2)
    model = Stream().eval()
    x, h = torch.randn(3, 20, 8), torch.zeros(1, 3, 32)
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    torch.onnx.export(
        model,
        (x, h),
        path,
        input_names=["x", "h"],
        output_names=["y", "h_next"],
        # The state's batch axis is 1, as PyTorch has it.
        dynamic_shapes=({0: batch, 1: time}, {1: batch}),
        external_data=False,
        verbose=False,
    )
    whole = model(x, h)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    parts, state = [], h.numpy()
    for part in np.split(x.numpy(), [7, 8], axis=1):
        y, state = session.run(["y", "h_next"], {"x": part, "h": state})
        parts.append(y)
    close(np.concatenate(parts, axis=1), whole[0].detach().numpy(), "the stream in three parts")
    return {"x": x.numpy(), "h": h.numpy()}, [one.detach().numpy() for one in whole]


@example(["sklearn", "skl2onnx"])
def sklearn_numbers(path):
    """scikit-learn: a scaler and a classifier of numbers."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(3)
    features = random.normal(size=(200, 4)).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(features, features[:, 0] + features[:, 1] ** 2 > 1)
    onnx_model = to_onnx(
        model,
        # Without types the file would take float64 wherever the training data were.
        initial_types=[("features", FloatTensorType([None, 4]))],
        # Without this the probabilities are a sequence of maps, which is no tensor.
        options={"zipmap": False},
        target_opset=18,
    )
    save(onnx_model, path)
    rows = features[:3]
    return {"features": rows}, [model.predict(rows).astype(np.int64), model.predict_proba(rows)]


@example(["sklearn", "skl2onnx", "pandas"])
def sklearn_table(path):
    """scikit-learn: a table with a column of text and two of numbers; the classes have names."""
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(4)
    table = pandas.DataFrame(
        {
            "city": random.choice(["Berlin", "Köln", "Graz"], 200),
            "age": random.uniform(18, 90, 200).astype(np.float32),
            "income": random.uniform(0, 9000, 200).astype(np.float32),
        }
    )
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", StandardScaler(), ["age", "income"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression())
    model.fit(table, np.where(table.income + 50 * table.age > 6000, "yes", "no"))
    onnx_model = to_onnx(
        model,
        # One input a column: a tensor has one type.
        initial_types=[
            ("city", StringTensorType([None, 1])),
            ("age", FloatTensorType([None, 1])),
            ("income", FloatTensorType([None, 1])),
        ],
        options={"zipmap": False},
        target_opset=18,
    )
    save(onnx_model, path)
    rows = table.head(3)
    inputs = {name: rows[[name]].to_numpy() for name in table}
    # Text of a fixed width, not Python objects: those NumPy would pickle.
    inputs["city"] = inputs["city"].astype(str)
    return inputs, [model.predict(rows).astype(str), model.predict_proba(rows)]


@example(["lightgbm", "sklearn", "onnxmltools"])
def lightgbm_classifier(path):
    """LightGBM: boosted trees, as the tree operators of ONNX."""
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    random = np.random.default_rng(5)
    features = random.normal(size=(300, 4)).astype(np.float32)
    model = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=8, n_jobs=1, verbose=-1)
    model.fit(features, np.digitize(features[:, 0] + features[:, 1], [-0.5, 0.5]))
    onnx_model = convert_lightgbm(
        model, initial_types=[("features", FloatTensorType([None, 4]))], zipmap=False
    )
    save(onnx_model, path)
    rows = features[:3]
    return {"features": rows}, [model.predict(rows), model.predict_proba(rows)]


@example(["torch", "onnxscript", "transformers"])
def text_encoder(path):
    """transformers: a tiny BERT with random weights; token ids to one vector a text."""
    import torch
    from transformers import BertConfig, BertModel

    class Encoder(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
            weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * weights).sum(1) / weights.sum(1)

    torch.manual_seed(6)
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = Encoder(BertModel(config, add_pooling_layer=False)).eval()
    ids = torch.randint(5, 100, (3, 12))
    # Three texts of 12, 7 and 3 tokens: the rest is padding.
    mask = (torch.arange(12) < torch.tensor([[12], [7], [3]])).to(torch.int64)
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=64)
    torch.onnx.export(
        model,
        (ids, mask),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["vector"],
        dynamic_shapes=({0: batch, 1: tokens}, {0: batch, 1: tokens}),
        external_data=False,
        verbose=False,
    )
    inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    return inputs, [model(ids, mask).detach().numpy()]


def main():
    options = argparse.ArgumentParser(description="Exports small models to ONNX, and runs them.")
    options.add_argument("folder", type=Path, help="where <name>/1/model.onnx go")
    options.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(EXAMPLES)}; default all"
    )
    given = options.parse_args()
    if unknown := set(given.names) - EXAMPLES.keys():
        options.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(EXAMPLES)}")
    # The exporter warns of its own future, and of packages that it could use.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    missed = 0
    for name in given.names or EXAMPLES:
        function, needs = EXAMPLES[name]
        if missing := [package for package in needs if find_spec(package) is None]:
            missed += 1
            print(f"left out {name}, for want of {', '.join(missing)}")
            continue
        folder = given.folder / name
        path = folder / "1" / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        inputs, expected = function(str(path))
        outputs = verify(str(path), inputs, expected, ROWS.get(name, {}))
        np.savez(folder / "example.npz", **inputs)
        np.savez(folder / "expected.npz", **outputs)
        opset = max(one.version for one in onnx.load(path).opset_import if one.domain == "")
        shapes = {
            key: f"{array.dtype}{list(array.shape)}" for key, array in {**inputs, **outputs}.items()
        }
        print(f"{name}: opset {opset}, {path.stat().st_size} bytes, {shapes}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
