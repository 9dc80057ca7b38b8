"""What going on with a session at another hoster takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cabstand._errors import CabstandError
from cabstand._wire import session_pb2

MOST_GIVEN = 10_000
"""Most entries that hosters take with a resume."""
_GIVEN_BYTES = 64


class Placed(Protocol):
    @property
    def position(self) -> int: ...
    @property
    def bytes(self) -> int: ...


E = TypeVar("E", bound=Placed)


class ReplayLog(Generic[E]):
    """What a session was given since its newest checkpoint, in order. Bounded: beyond its limits the oldest
    entries are given up, and the log is incomplete until a checkpoint covers them."""

    def __init__(self, *, items: float = float("inf"), most_bytes: float = float("inf")) -> None:
        self._items = items
        self._most = most_bytes
        self._entries: deque[E] = deque()
        self._bytes = 0
        self._missing = -1

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def complete(self) -> bool:
        return self._missing < 0

    @property
    def room(self) -> float:
        return self._most - self._bytes

    def since(self) -> list[E]:
        return list(self._entries)

    def append(self, entry: E) -> None:
        self._entries.append(entry)
        self._bytes += entry.bytes
        while len(self._entries) > self._items or self._bytes > self._most:
            self._give_up_first()

    def skip(self, position: int) -> None:
        """Something at `position` was not kept."""
        self._missing = max(self._missing, position)

    def give_up(self, unless: Callable[[E], bool]) -> None:
        """Gives up entries from the oldest on, until `unless` holds."""
        while self._entries and not unless(self._entries[0]):
            self._give_up_first()

    def covered(self, position: int) -> E | None:
        """A checkpoint holds everything below `position`. Answers the newest entry of it that was here."""
        newest = None
        while self._entries and self._entries[0].position < position:
            newest = self._entries.popleft()
            self._bytes -= newest.bytes
        if self._missing < position:
            self._missing = -1
        return newest

    def _give_up_first(self) -> None:
        entry = self._entries.popleft()
        self._bytes -= entry.bytes
        self._missing = max(self._missing, entry.position)


@dataclass(frozen=True)
class PastTurn:
    """A turn that has ended; `position` is where it began."""

    turn: int
    position: int
    input: session_pb2.TurnInput
    bytes: int


@dataclass(frozen=True)
class Given:
    """A record that tells what a module was given."""

    turn: int
    position: int
    record: session_pb2.Record
    bytes: int


class Continuation:
    """The newest checkpoint, and the input that was given since it. Bounded: input beyond `most_bytes` is not
    kept, and the session cannot move until a checkpoint covers it."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.checkpoint: session_pb2.Checkpoint | None = None
        self.chain = 0
        """Of the last record that arrived."""
        self._past: ReplayLog[PastTurn] = ReplayLog(most_bytes=most_bytes)
        self._given: ReplayLog[Given] = ReplayLog(items=MOST_GIVEN, most_bytes=most_bytes)
        self._lost: int | None = None

    @property
    def room(self) -> float:
        return self._past.room

    @property
    def past(self) -> list[PastTurn]:
        return self._past.since()

    @property
    def given(self) -> list[Given]:
        return self._given.since()

    @property
    def complete(self) -> bool:
        return self._past.complete and self._given.complete

    def keeps(self, turn_input: session_pb2.TurnInput) -> bool:
        return turn_input.ByteSize() <= self.room

    def opened_anew(self) -> None:
        """What a hoster gave before is of no use: the session is opened once more, elsewhere."""
        self.checkpoint = None

    def arrived(self, record: session_pb2.Record, replays: bool) -> None:
        """A record arrived, and counts. `replays`: its model survives by replay."""
        self.chain = record.chain
        if replays and record.WhichOneof("body") in ("applied", "input", "recorded"):
            size = _GIVEN_BYTES + record.ByteSize()
            self._given.append(Given(record.turn, record.position, record, size))

    def missed(self, position: int) -> None:
        """What was given below `position` nobody told this process."""
        self._given.skip(position - 1)

    def offer(self, checkpoint: session_pb2.Checkpoint, next_position: int) -> bool:
        """A checkpoint within the turn that runs, of which records below `next_position` have arrived."""
        known = -1 if self.checkpoint is None else self.checkpoint.position
        # One ahead of what has arrived would leave records out.
        if not known < checkpoint.position <= next_position:
            return False
        self._take(checkpoint)
        return True

    def ended(
        self,
        turn: int,
        position: int,
        turn_input: session_pb2.TurnInput | None,
        live: bool,
        checkpoint: session_pb2.Checkpoint | None,
    ) -> None:
        """A turn has ended; `position` is where it began."""
        if checkpoint is not None:
            self._take(checkpoint)
        elif self._lost is None:
            if live or turn_input is None:
                self._lost = turn
                self._past.skip(position)
            else:
                self._past.append(PastTurn(turn, position, turn_input, turn_input.ByteSize()))

    def resume(
        self, turn: int, turn_input: session_pb2.TurnInput | None, replayable: bool, delivered: int
    ) -> session_pb2.Resume:
        """What to send, besides the turn that runs, which follows. Raises SESSION_LOST where something is
        missing."""
        if not self._given.complete or not self._past.complete or turn_input is None or not replayable:
            what = "what its module was given" if not self._given.complete else "its input"
            raise CabstandError(
                "SESSION_LOST",
                f"the hoster is lost, and {what} up to turn {turn} was not kept: no checkpoint covers it and it "
                f"is more than max_replay_bytes ({self.most_bytes})",
                metadata={"field": "max_replay_bytes", "value": str(self.most_bytes)},
            )
        made = session_pb2.Resume(delivered_position=delivered, turn=turn, chain=self.chain)
        if self.checkpoint is not None:
            made.checkpoint.CopyFrom(self.checkpoint)
        for past in self._past.since():
            made.replay.add(turn=past.turn, position=past.position, input=past.input)
        for given in self._given.since():
            made.replay.add(turn=given.turn, position=given.position, record=given.record)
        return made

    def _take(self, checkpoint: session_pb2.Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._past.covered(checkpoint.position)
        self._given.covered(checkpoint.position)
        if self._past.complete:
            self._lost = None
