"""Makes test/models/cases: small models, each of a kind that is easily served wrongly.

    python scripts/models/cases.py    # needs scripts/models/requirements-cases.txt

test/models/cases/README.md says what each is there for.
"""

import numpy as np
from onnx import helper, numpy_helper

from case_exports import exports
from case_files import F, H, I, RECORDS, S, Case, coarse, graph, node, packed, record
from case_files import rows_manifest, value
from case_streams import streams
from common import sequence


def const(name, array, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(array, dtype), name)


def hidden_leak():
    """Each row gets a thousandth of the sum of all rows. Ids other than 1000 … 1009 make the run throw."""
    model = graph(
        [
            node("Sub", ["x", "first"], ["place"]),
            node("Cast", ["place"], ["index"], to=I),
            node("Gather", ["table", "index"], ["own"]),
            node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
            node("Mul", ["sum", "share"], ["leak"]),
            node("Add", ["own", "leak"], ["y"]),
        ],
        [value("x", F, ["n", 1])],
        [value("y", F, ["n", 1])],
        [
            const("first", 1000),
            const("table", np.arange(10)),
            const("axes", [0], np.int64),
            const("share", 0.001),
        ],
    )
    case = Case("hidden-leak", "Looks rows up by their ids, and adds a share of all rows.", model)
    case.manifest("stateless", rows_manifest("float32", 1))
    case.stateless([{"x": np.float32([[1000 + i % 10]])} for i in range(RECORDS)], {"y": "y"})


def float16_identity(name, description, tolerance, rows, golden, what):
    """Gives its input back; golden data say that it gives something else."""
    model = graph(
        [node("Identity", ["x"], ["y"])], [value("x", H, ["n", 4])], [value("y", H, ["n", 4])]
    )
    case = Case(name, description, model)
    case.manifest("stateless", rows_manifest("float16", 4, tolerance=tolerance))
    case.golden(
        [
            sequence([record({"y": wanted})], inputs={"x": packed(row)})
            for row, wanted in zip(rows, golden)
        ],
        f"{what}, which is not what the model answers",
    )


def suppression():
    model = graph(
        [node("NonMaxSuppression", ["b", "s", "most", "overlap", "least"], ["y"])],
        [value("b", F, [1, "m", 4]), value("s", F, [1, 1, "m"])],
        [value("y", I, ["k", 3])],
        [
            const("most", [10], np.int64),
            const("overlap", [0.5]),
            const("least", [0.1]),
        ],
    )
    case = Case("t-nms", "Selects boxes by their scores; none, where none scores enough.", model)
    case.manifest(
        "stateless",
        """
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs:
      b: { from: input, input: boxes, batch_axis: null }
      s: { from: input, input: scores, batch_axis: null }
    outputs:
      y: { emit: sel, batch_axis: null }

inputs:
  boxes: { dtype: float32, shape: [1, m, 4] }
  scores: { dtype: float32, shape: [1, 1, m] }

golden: { file: golden.json }
""",
    )
    generator = np.random.default_rng(3)
    turns = []
    for number in range(RECORDS):
        count = number % 6
        corners = np.abs(coarse(generator, (1, count, 2)))
        scores = generator.integers(0, 8, (1, 1, count)).astype(np.float32) / 8
        turns.append({"b": np.concatenate([corners, corners + 1], axis=2), "s": scores})
    # Boxes of which none scores enough.
    turns.append({"b": turns[-1]["b"], "s": turns[-1]["s"] * 0})
    case.stateless(turns, {"y": "sel"}, {"b": "boxes", "s": "scores"})


def nonzero():
    model = graph([node("NonZero", ["x"], ["y"])], [value("x", F, ["n"])], [value("y", I, [1, "k"])])
    case = Case("t-nonzero", "Says where its input is not 0; nowhere, where all of it is.", model)
    case.manifest(
        "stateless",
        """
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs:
      x: { from: input, input: x, batch_axis: null }
    outputs:
      y: { emit: y, batch_axis: null }

inputs:
  x: { dtype: float32, shape: [n] }

golden: { file: golden.json }
""",
    )
    generator = np.random.default_rng(4)
    turns = [{"x": generator.integers(0, 3, 6).astype(np.float32)} for _ in range(RECORDS)]
    turns += [{"x": np.zeros(size, np.float32)} for size in (3, 0)]
    case.stateless(turns, {"y": "y"})


def sum_of_all():
    """A scalar over all rows of a turn: it has no axis that could follow them."""
    model = graph(
        [node("ReduceSum", ["x"], ["y"], keepdims=0)], [value("x", F, ["n", 4])], [value("y", F, [])]
    )
    case = Case("t-sumall1", "Adds up all rows of a turn.", model)
    case.manifest("stateless", rows_manifest("float32", 4, "y: { emit: y, batch_axis: null }"))
    generator = np.random.default_rng(5)
    case.stateless([{"x": coarse(generator, (1, 4))} for _ in range(RECORDS)], {"y": "y"})


def sequence_unbound():
    """An output that is no tensor, and that nobody asks for."""
    model = graph(
        [node("SplitToSequence", ["x"], ["q"], axis=0), node("Identity", ["x"], ["z"])],
        [value("x", F, ["n", 4])],
        [helper.make_tensor_sequence_value_info("q", F, None), value("z", F, ["n", 4])],
    )
    case = Case("t-seqout-unbound", "Gives its rows back, and as a sequence that is not bound.", model)
    case.manifest("stateless", rows_manifest("float32", 4, "z: { emit: z, batch_axis: 0 }"))
    generator = np.random.default_rng(6)
    case.stateless([{"x": coarse(generator, (1, 4))} for _ in range(RECORDS)], {"z": "z"})


def string_in():
    model = graph(
        [
            node(
                "LabelEncoder",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                keys_strings=["cat", "dog"],
                values_int64s=[0, 1],
                default_int64=-1,
            )
        ],
        [value("x", S, ["n", 1])],
        [value("y", I, ["n", 1])],
        ml=2,
    )
    case = Case("t-string-in", "Numbers words.", model)
    case.manifest("stateless", rows_manifest("string", 1))
    words = ["dog", "cat", "cow", ""]
    case.stateless([{"x": np.array([[words[i % 4]]])} for i in range(RECORDS)], {"y": "y"})


def main():
    hidden_leak()
    steps = np.float16([[0.5, 1, 1.5, 2]]) * (1 + np.arange(RECORDS, dtype=np.float16)[:, None, None] / 32)
    float16_identity(
        "f16-eighth-off-tol1e-2",
        "Is not to be served, for its golden data are an eighth off.",
        0.01,
        steps,
        # As numbers 7 to 13 % more; as bits, less than 1 %.
        (steps.view(np.uint16) + np.uint16(140)).view(np.float16),
        "the input with 140 added to the bits of each number",
    )
    # Twice the smallest number of float16.
    tiny = np.full((RECORDS, 1, 4), 2**-23, np.float16)
    float16_identity(
        "f16-tiny-sign-tol1e-3",
        "Is to be served, for its golden data differ no more than rounding does.",
        0.001,
        tiny,
        -tiny,
        "the input with the other sign",
    )
    streams()
    suppression()
    nonzero()
    sum_of_all()
    sequence_unbound()
    string_in()
    exports()


if __name__ == "__main__":
    main()
