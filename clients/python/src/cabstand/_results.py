"""What a turn gives."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cabstand._errors import CabstandError, from_detail
from cabstand._tensors import Array, from_tensor
from cabstand._wire import hoster_pb2, session_pb2

EndReason = Literal["completed", "stopped", "cancelled", "timed_out", "evicted", "migrated", "lost", "error"]

_REASONS: dict[int, EndReason] = {
    session_pb2.END_REASON_COMPLETED: "completed",
    session_pb2.END_REASON_STOPPED: "stopped",
    session_pb2.END_REASON_CANCELLED: "cancelled",
    session_pb2.END_REASON_TIMED_OUT: "timed_out",
    session_pb2.END_REASON_EVICTED: "evicted",
    session_pb2.END_REASON_MIGRATED: "migrated",
    session_pb2.END_REASON_LOST: "lost",
}


def end_reason(number: int) -> EndReason:
    """One that only a newer client knows is an error."""
    return _REASONS.get(number, "error")


_FINISHES: dict[int, Literal["stop", "length"]] = {
    session_pb2.FINISH_REASON_STOP: "stop",
    session_pb2.FINISH_REASON_LENGTH: "length",
}


def generation_of(end: session_pb2.EndOfTurn) -> Generation | None:
    """``None`` for models that are no language models, and where a turn failed."""
    if not end.HasField("generation"):
        return None
    told = end.generation
    finish = _FINISHES.get(told.finish)
    return Generation(finish, told.prompt_tokens, told.cached_tokens, told.answer_tokens)


class Chunk(Mapping[str, Array]):
    """Output of one model step: a mapping of output names to arrays, which are views that cannot be written to.

    Attributes:
        text: text decoded by this step; may be empty.
        index: number of the chunk in its turn, from 0.
        position: number of the record in its session, over all turns.
        turn: number of the turn, from 0.
    """

    __slots__ = ("_arrays", "_tensors", "index", "position", "text", "turn")

    def __init__(self, record: session_pb2.Record, index: int) -> None:
        self._tensors = {tensor.name: tensor for tensor in record.chunk.outputs}
        self._arrays: dict[str, Array] = {}
        self.text = record.chunk.text
        self.index = index
        self.position = record.position
        self.turn = record.turn

    @property
    def token(self) -> int:
        """Id of the token that a language model chose. KeyError for other models."""
        return int(self["token"].item())

    def __getitem__(self, name: str) -> Array:
        array = self._arrays.get(name)
        if array is None:
            array = self._arrays[name] = from_tensor(self._tensors[name])
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    # Chunks are events: two of them are never the same one.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        shapes = {name: list(tensor.shape) for name, tensor in self._tensors.items()}
        return f"Chunk(turn={self.turn}, index={self.index}, text={self.text!r}, outputs={shapes})"


@dataclass(frozen=True)
class Message:
    """What a module tells besides its outputs. It comes exactly once, in order with the chunks; a view is given
    notices, too, whose position is -1."""

    name: str
    value: Any
    position: int
    turn: int


@dataclass(frozen=True)
class Generation:
    """What became of an answer of a language model, in tokens."""

    finish: Literal["stop", "length"] | None
    """``None``: something else ended the turn."""
    prompt: int
    cached: int
    """How many of the prompt's were not computed for this turn."""
    answer: int
    """The one that ended the answer included."""


@dataclass(frozen=True)
class TurnResult:
    """How a turn ended."""

    turn: int
    reason: EndReason
    steps: int
    """Model steps that were computed."""
    chunks: int
    note: str = ""
    """Why an orderly turn computed nothing."""
    generation: Generation | None = None
    """Language models, and models of texts, only: these tell `prompt` alone."""


@dataclass(frozen=True)
class Skipped:
    """A view was too slow, or its session moved: so many records were left out before the next one."""

    records: int


def message_of(record: session_pb2.Record) -> Message:
    return Message(record.message.name, _value(record.message.name, record.message.json), record.position, record.turn)


def notice_of(notice: hoster_pb2.ModuleNotice) -> Message:
    """What a module tells whoever reads right now: it has no position."""
    return Message(notice.name, _value(notice.name, notice.json), -1, 0)


def _value(name: str, text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise CabstandError("NODE_BAD_REPLY", f"message {name} is no JSON") from error


def is_gone(end: session_pb2.EndOfTurn) -> bool:
    """Whether the session went with its turn."""
    if end_reason(end.reason) in ("evicted", "migrated", "lost"):
        return True
    return end.HasField("error") and from_detail(end.error).error_class in ("node", "overload", "session")


def end_error(end: session_pb2.EndOfTurn) -> CabstandError | None:
    """The error a turn ended in; None for an orderly end."""
    reason = end_reason(end.reason)
    if reason in ("completed", "stopped", "cancelled"):
        return None
    error = from_detail(end.error) if end.HasField("error") else None
    if reason == "timed_out":
        return error or CabstandError("DEADLINE_EXCEEDED", "the turn ran into the hoster's time limit")
    return closed_error(reason, error)


def closed_error(reason: EndReason, error: CabstandError | None) -> CabstandError:
    """Why a session that ended at the hoster cannot go on there."""
    if error is not None:
        return error
    if reason == "evicted":
        return CabstandError("SESSION_EVICTED", "the hoster needed the room of the session")
    if reason in ("lost", "migrated"):
        return CabstandError("SESSION_LOST", f"the session is not at its hoster any more ({reason})")
    if reason == "error":
        return CabstandError("NODE_BAD_REPLY", "the hoster ended the session with an error and gave none")
    return CabstandError("SESSION_ENDED", f"the hoster ended the session ({reason})", metadata={"end_reason": reason})
