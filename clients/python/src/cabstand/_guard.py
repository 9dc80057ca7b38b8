"""What comes off a stream, exactly once and in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from cabstand._errors import CabstandError


class Positioned(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def turn(self) -> int: ...
    @property
    def epoch(self) -> int: ...


R = TypeVar("R", bound=Positioned)


class PositionGuard:
    """Lets the records of a session through exactly once and in order."""

    def __init__(self, next_position: int = 0) -> None:
        self.next = next_position
        """The position of the next record."""
        self._epoch = 0

    def accept_all(self, records: Sequence[R], turn: int, epoch: int) -> list[R]:
        """Records that belong together: those of them that have not been here before. All of them count, or
        none: raises as `accept` does, and is then as it was."""
        before = self.next, self._epoch
        try:
            return [record for record in records if self.accept(record, turn, epoch)]
        except CabstandError:
            self.next, self._epoch = before
            raise

    def accept(self, record: Positioned, turn: int, epoch: int) -> bool:
        """True: the record is the next one. False: it has been here before and is to be dropped. Raises
        NODE_BAD_REPLY where the hoster left something out, or mixed turns or epochs."""
        position = record.position
        if position < 0:
            raise _bad("position", position, "at least 0")
        if position < self.next:
            return False
        if position > self.next:
            raise _bad("position", position, f"{self.next}: records are missing")
        if record.turn != turn:
            raise _bad("turn", record.turn, str(turn))
        if not self._epoch <= record.epoch <= epoch:
            raise _bad("epoch", record.epoch, f"{self._epoch} to {epoch}")
        self.next = position + 1
        self._epoch = record.epoch
        return True


def _bad(field: str, value: int, expected: str) -> CabstandError:
    return CabstandError(
        "NODE_BAD_REPLY",
        f"the hoster sent a record with {field} {value}, expected {expected}",
        metadata={"field": field, "value": str(value), "expected": expected},
    )


class Acker:
    """Says what is to be acknowledged, and when: after so many records or bytes, whichever comes first, at each
    end of turn, and when the hoster asks."""

    RECORD_BYTES = 64
    """What a record takes at the hoster beside its content: an estimate."""

    def __init__(self) -> None:
        self.records = 0
        """Acks after so many records; 0 for no acks."""
        self.bytes: float = float("inf")
        self._delivered = -1
        self._acknowledged = -1
        self._waiting_bytes = 0

    def delivered(self, position: int, size: int) -> int | None:
        """The consumer has the record at `position`, of so many bytes. Answers the position to acknowledge."""
        if position <= self._delivered:
            return None
        self._delivered = position
        self._waiting_bytes += self.RECORD_BYTES + size
        waiting = position - self._acknowledged
        if self.records > 0 and (waiting >= self.records or self._waiting_bytes >= self.bytes):
            return position
        return None

    def turn_ended(self, position: int) -> int | None:
        self._delivered = max(self._delivered, position)
        due = self.records > 0 and self._delivered > self._acknowledged
        return self._delivered if due else None

    def wanted(self) -> int | None:
        """The hoster waits for an ack. One that says nothing new still says that the consumer lives."""
        return self._delivered if self.records > 0 and self._delivered >= 0 else None

    def sent(self, position: int) -> None:
        """An ack went out on a stream. One that is lost with it needs no other: whoever has the session next
        learns it from where the stream is taken up."""
        self._acknowledged = max(self._acknowledged, position)
        self._waiting_bytes = 0
