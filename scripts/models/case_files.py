"""Writes the files of a case in test/models/cases: its graph, model.yaml and golden.json."""

import os

# Before ONNX Runtime is imported: it sends telemetry otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from common import ROOT, sequence, session, tensor, write_golden

CASES = ROOT / "test" / "models" / "cases"
SCRIPT = "scripts/models/cases.py"
F, H, I, S = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.STRING

ORT = f"ONNX Runtime {onnxruntime.__version__} for Python, CPU, one thread"

# Records that golden data should hold at the least.
RECORDS = 32


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def graph(nodes, inputs, outputs, constants=(), ml=None):
    """A model of operator set 17 and IR version 8; `ml` is the version of ai.onnx.ml, where it is used."""
    made = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid("ai.onnx.ml", ml)] if ml else [])
    model = helper.make_model(made, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def rows_manifest(dtype, width, outputs="y: { emit: y, batch_axis: 0 }", source="x", tolerance=None):
    """What a model says whose graph takes rows, in one input."""
    within = "" if tolerance is None else f", tolerance: {tolerance}"
    return f"""
graphs:
  main:
    file: m.onnx
    run: per-step
    inputs:
      {source}: {{ from: input, input: x, batch_axis: 0 }}
    outputs:
      {outputs}

inputs:
  x: {{ dtype: {dtype}, shape: [n, {width}] }}

golden: {{ file: golden.json{within} }}
"""


def framed_manifest(inputs, outputs, public, framing, state=None):
    states = "" if state is None else f"state:\n  {state}\n\n"
    return f"""
graphs:
  step:
    file: m.onnx
    run: per-step
    inputs:
      {inputs}
    outputs:
      {outputs}

{states}inputs:
  {public}

framing: {{ {framing} }}

golden: {{ file: golden.json }}
"""


class Case:
    """A model of the repository; what it should answer comes from ONNX Runtime for Python."""

    def __init__(self, name, description, model):
        self.name, self.description = name, description
        self.folder = CASES / name
        self.file = self.folder / "1" / "m.onnx"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Exporters name operator sets in any order.
        opsets = sorted(model.opset_import, key=lambda one: one.domain)
        del model.opset_import[:]
        model.opset_import.extend(opsets)
        onnx.save(model, self.file)
        self.session = session(self.file)

    def manifest(self, kind, rest):
        (self.folder / "model.yaml").write_text(
            f"""name: {self.name}
kind: {kind}
description: {self.description}
provenance:
  source: made by {SCRIPT}
  version: '1'
  digest: none
  licence: Apache-2.0
  script: {SCRIPT}

{rest.strip()}
"""
        )

    def answers(self, feeds, outputs):
        """Public names of the outputs, by what the graph calls them, with what it gives for them."""
        results = self.session.run(list(outputs), feeds)
        return dict(zip(outputs.values(), results))

    def golden(self, sequences, reference):
        write_golden(self.folder, SCRIPT, reference, sequences)

    def stateless(self, turns, outputs, names=None):
        """One record a turn. `names` are the inputs' public names, where the graph has others."""
        public = lambda name: (names or {}).get(name, name)
        self.golden(
            [
                sequence(
                    [record(self.answers(turn, outputs))],
                    inputs={public(name): packed(array) for name, array in turn.items()},
                )
                for turn in turns
            ],
            f"{ORT}, the rows of a turn together",
        )


def coarse(generator, shape, dtype=np.float32):
    """Random numbers that are whole eighths: exact in each dtype, and small when packed."""
    return (generator.integers(-16, 17, shape) / 8).astype(dtype)


def packed(array):
    array = np.asarray(array)
    return tensor(array, compress=array.dtype.kind != "U" and array.nbytes > 64)


def record(outputs):
    return {"outputs": {name: packed(array) for name, array in outputs.items()}, "text": ""}
