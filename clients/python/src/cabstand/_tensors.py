"""NumPy arrays in and out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cabstand._errors import CabstandError, invalid
from cabstand._wire import model_pb2, tensor_pb2

Array = npt.NDArray[Any]
Value = Any
"""An array, or what `numpy.asarray` makes one of: numbers, text, lists of them."""

DTYPES: dict[str, Any] = {
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    "bool": np.dtype("?"),
}

_TO_WIRE: dict[Any, tensor_pb2.DataType] = {
    dtype: getattr(tensor_pb2, f"DATA_TYPE_{name.upper()}") for name, dtype in DTYPES.items()
}
_FROM_WIRE: dict[int, Any] = {int(number): dtype for dtype, number in _TO_WIRE.items()}
_STRING = tensor_pb2.DATA_TYPE_STRING
MOST_DIMENSIONS = 8


def dtype_name(number: int) -> str:
    """`float32` for DATA_TYPE_FLOAT32."""
    try:
        return tensor_pb2.DataType.Name(number).removeprefix("DATA_TYPE_").lower()
    except ValueError:
        return f"dtype {number}"


def to_tensor(name: str, value: Value, declared: int | None = None) -> tensor_pb2.Tensor:
    """A tensor of an array, which is copied. Lists and numbers become what the model declares, where it is
    known; arrays stay what they are. Raises INPUT_DTYPE for what no tensor can hold."""
    if isinstance(value, tensor_pb2.Tensor):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise invalid(name, f"{len(value)} bytes", "an array: numpy.frombuffer(data, dtype) makes one", "INPUT_DTYPE")
    try:
        if isinstance(value, (np.ndarray, np.generic)) or declared in (None, _STRING):
            array = np.asarray(value)
        else:
            array = np.asarray(value, dtype=_FROM_WIRE.get(declared or 0))
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(name, value, f"an array ({error})", "INPUT_DTYPE") from error
    if array.ndim > MOST_DIMENSIONS:
        raise invalid(f"tensor {name} shape", list(array.shape), f"at most {MOST_DIMENSIONS} dimensions", "INPUT_RANK")
    if array.dtype.kind in "UOT":
        texts = array.ravel().tolist()
        for text in texts:
            if not isinstance(text, str):
                raise invalid(name, text, "text, or an array of numbers", "INPUT_DTYPE")
        return tensor_pb2.Tensor(name=name, dtype=_STRING, shape=array.shape, strings=texts)
    little = array.dtype.newbyteorder("<")
    number = _TO_WIRE.get(little)
    if number is None:
        raise invalid(name, str(array.dtype), f"one of {', '.join(DTYPES)}, or text", "INPUT_DTYPE")
    data = np.ascontiguousarray(array, dtype=little).tobytes()
    return tensor_pb2.Tensor(name=name, dtype=number, shape=array.shape, data=data)


def from_tensor(tensor: tensor_pb2.Tensor) -> Array:
    """A view of the tensor's memory, which cannot be written to; an array of objects for text. Raises
    NODE_BAD_REPLY where data and shape do not fit."""
    shape = tuple(tensor.shape)
    count = math.prod(shape)
    if tensor.dtype == _STRING:
        if len(tensor.strings) != count:
            raise _bad(tensor, f"{len(tensor.strings)} strings")
        array = np.empty(count, dtype=object)
        array[:] = list(tensor.strings)
        return array.reshape(shape)
    dtype = _FROM_WIRE.get(tensor.dtype)
    if dtype is None or len(tensor.data) != count * dtype.itemsize:
        raise _bad(tensor, f"{len(tensor.data)} bytes")
    found: Array = np.frombuffer(tensor.data, dtype=dtype).reshape(shape)
    return found


def _bad(tensor: tensor_pb2.Tensor, got: str) -> CabstandError:
    return CabstandError(
        "NODE_BAD_REPLY",
        f"the hoster sent {got} for {tensor.name}, {dtype_name(tensor.dtype)} {list(tensor.shape)}",
    )


def needs_declaration(inputs: Any) -> bool:
    """Whether only the model can say what is meant: an input without a name, or numbers that are no array."""
    if inputs is None:
        return False
    if not isinstance(inputs, Mapping):
        return True
    return any(not isinstance(value, (np.ndarray, np.generic, str, tensor_pb2.Tensor)) for value in inputs.values())


def to_tensors(inputs: Any, declared: Sequence[model_pb2.TensorSpec] | None) -> list[tensor_pb2.Tensor]:
    """Tensors of inputs by name, or of one alone where the model has one input."""
    if inputs is None:
        return []
    if isinstance(inputs, Mapping):
        dtypes = {spec.name: spec.dtype for spec in declared or ()}
        made = []
        for name, value in inputs.items():
            if not isinstance(name, str):
                raise invalid("inputs", name, "names of inputs")
            made.append(to_tensor(name, value, dtypes.get(name)))
        return made
    if declared is None or len(declared) != 1:
        names = ", ".join(spec.name for spec in declared or ()) or "none"
        raise invalid("inputs", type(inputs).__name__, f"inputs by name, {{name: array}}: the model has {names}")
    return [to_tensor(declared[0].name, inputs, declared[0].dtype)]
