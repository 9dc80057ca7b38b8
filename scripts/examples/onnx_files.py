"""What the examples share: writing what a converter made, and running a file against its framework."""

import os

# Before ONNX Runtime is imported: it sends telemetry otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime


def save(onnx_model, path):
    """Writes what a converter made, after it named the axis of rows: skl2onnx leaves the name out, and
    onnxmltools calls the labels of all rows one."""
    for value in [*onnx_model.graph.input, *onnx_model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(onnx_model, path)


def close(found, wanted, what):
    """Numbers within 1e-5, labels exactly."""
    wanted = np.asarray(wanted)
    if found.shape != wanted.shape:
        raise AssertionError(f"{what}: shape {found.shape}, should be {wanted.shape}")
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=what)
    else:
        np.testing.assert_array_equal(found, wanted, err_msg=what)


def verify(path, inputs, expected, row_axes):
    """Runs a file, all rows together and each alone, and answers the outputs by name.

    `inputs` are arrays by name, `expected` what its framework answers, in the order of the outputs;
    `row_axes` names the axis along which rows lie, for tensors where it is not 0. Raises AssertionError
    where the file does not answer as it should.
    """
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    if (declared := {one.name for one in session.get_inputs()}) != inputs.keys():
        raise AssertionError(f"inputs {declared}, should be {set(inputs)}")
    found = session.run(names, inputs)
    for name, one, wanted in zip(names, found, expected, strict=True):
        close(one, wanted, name)
    axes = {name: row_axes.get(name, 0) for name in [*inputs, *names]}
    for row in range(found[0].shape[axes[names[0]]]):
        alone = {name: np.take(array, [row], axes[name]) for name, array in inputs.items()}
        for name, one, whole in zip(names, session.run(names, alone), found, strict=True):
            close(one, np.take(whole, [row], axes[name]), f"{name} of row {row} alone")
    # Text comes as Python objects, which NumPy would pickle.
    return {
        name: one.astype(str) if one.dtype == object else one
        for name, one in zip(names, found, strict=True)
    }
