"""Cases that take signals frame by frame."""

import numpy as np

from case_files import F, H, ORT, Case, coarse, framed_manifest, graph, node, packed, record, value
from common import sequence

# How many sequences golden data hold, and how many records each of them.
SEQUENCES, STEPS = 2, 16
FRAME_AND_STATE = """x: { from: frame, batch_axis: 0 }
      h: { from: state, state: h, batch_axis: 0 }"""
TWO_FRAMES = """mic: { from: frame, batch_axis: 0 }
      ref: { from: input, input: ref, batch_axis: 0 }"""


def float16_state():
    model = graph(
        [node("Add", ["x", "h"], ["y"]), node("Identity", ["y"], ["hn"])],
        [value("x", H, ["n", 4]), value("h", H, ["n", 4])],
        [value("y", H, ["n", 4]), value("hn", H, ["n", 4])],
    )
    case = Case("f16-state-half", "Adds up frames of float16, from a half on.", model)
    case.manifest(
        "stateful",
        framed_manifest(
            inputs=FRAME_AND_STATE,
            outputs="y: { emit: y, batch_axis: 0 }\n      hn: { state: h, batch_axis: 0 }",
            state="h: { initial: 0.5 }",
            public="a: { dtype: float16, shape: [t] }",
            framing="input: a, frame: 4",
        ),
    )
    accumulate(case, "y", "hn", np.float16(0.5))


def emit_and_state():
    """One output of the graph is both the record and the next step's state."""
    model = graph(
        [node("Add", ["x", "h"], ["y"])],
        [value("x", F, ["n", 4]), value("h", F, ["n", 4])],
        [value("y", F, ["n", 4])],
    )
    case = Case("emit-and-state", "Adds up frames; each sum is record and state.", model)
    case.manifest(
        "stateful",
        framed_manifest(
            inputs=FRAME_AND_STATE,
            outputs="y: { emit: y, state: h, batch_axis: 0 }",
            state="h: { initial: zeros }",
            public="a: { dtype: float32, shape: [t] }",
            framing="input: a, frame: 4",
        ),
    )
    accumulate(case, "y", "y", np.float32(0))


def accumulate(case, emitted, written, initial):
    """Golden data of a model that takes frames `x` of four and a state `h`."""
    generator = np.random.default_rng(1)
    sequences = []
    names = list(dict.fromkeys([emitted, written]))
    for _ in range(SEQUENCES):
        signal = coarse(generator, 4 * STEPS, initial.dtype)
        state, records = np.full((1, 4), initial), []
        for frame in signal.reshape(-1, 1, 4):
            results = case.session.run(names, {"x": frame, "h": state})
            state = results[-1]
            records.append(record({"y": results[0]}))
        sequences.append(sequence(records, inputs={"a": packed(signal)}))
    case.golden(sequences, f"{ORT}, frame by frame")


def aec_two_streams():
    """Two signals framed in step, as an echo canceller takes them: the microphone and what was played."""
    model = graph(
        [node("Sub", ["mic", "ref"], ["y"])],
        [value("mic", F, ["n", 160]), value("ref", F, ["n", 160])],
        [value("y", F, ["n", 160])],
    )
    case = Case("aec-two-streams", "Takes what was played from what was heard.", model)
    case.manifest(
        "stateful",
        framed_manifest(
            inputs=TWO_FRAMES,
            outputs="y: { emit: y, batch_axis: 0 }",
            public="mic: { dtype: float32, shape: [t] }\n  ref: { dtype: float32, shape: [t] }",
            framing="input: mic, frame: 160",
        ),
    )
    generator = np.random.default_rng(2)
    sequences = []
    for _ in range(SEQUENCES):
        mic, ref = (coarse(generator, 160 * STEPS) for _ in range(2))
        frames = zip(mic.reshape(-1, 1, 160), ref.reshape(-1, 1, 160))
        records = [record(case.answers({"mic": a, "ref": b}, {"y": "y"})) for a, b in frames]
        sequences.append(sequence(records, inputs={"mic": packed(mic), "ref": packed(ref)}))
    case.golden(sequences, f"{ORT}, frame by frame")


def streams():
    float16_state()
    emit_and_state()
    aec_two_streams()
