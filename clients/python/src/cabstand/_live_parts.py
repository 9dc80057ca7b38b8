"""The input of a live turn on its way to the hoster."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from cabstand._channel import SessionChannel
from cabstand._replay import ReplayLog
from cabstand._wire import hoster_pb2, session_pb2


@dataclass(frozen=True)
class _Applied:
    part: int
    position: int
    bytes: int = 0


class LiveParts:
    """Parts wait here until the hoster has taken them, and longer: until a checkpoint covers them, so that
    another hoster can go on from it. Parts are sent by whoever writes and by a task of a stream that was held
    back; the stream itself has one writer."""

    def __init__(self, *, most_parts: int, most_bytes: int, most_replay: float) -> None:
        self._most_parts = most_parts
        self._most_bytes = most_bytes
        self._most_replay = most_replay
        self._kept: deque[tuple[session_pb2.LiveInput, int]] = deque()
        self._base = 0
        """Number of the first part that is kept."""
        self._kept_bytes = 0
        self._accepted = 0
        self._wanted = 0
        self._flying_bytes = 0
        self._sent = 0
        self._said_accepted = 0
        self._said_wanted = 0
        self._covered: float = 0
        """Parts below are in the newest checkpoint, or will not be needed again."""
        self._applied: ReplayLog[_Applied] = ReplayLog()
        self._channel: SessionChannel | None = None
        self._sender: asyncio.Task[None] | None = None
        self._room = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether another part may be written."""
        return self._end - self._counted < self._most_parts and self._flying_bytes < self._most_bytes

    @property
    def replayable(self) -> bool:
        """Whether all parts are here that the newest checkpoint does not cover."""
        return self._base <= self._covered

    @property
    def _end(self) -> int:
        return self._base + len(self._kept)

    @property
    def _counted(self) -> int:
        return min(max(self._accepted, self._wanted), self._end)

    def add(self, part: session_pb2.LiveInput, size: int) -> None:
        self._kept.append((part, size))
        self._kept_bytes += size
        if self._counted < self._end:
            self._flying_bytes += size
        self._send()

    async def room(self) -> None:
        """Resolves when there may be room."""
        self._room.clear()
        await self._room.wait()

    def attach(self, channel: SessionChannel, resumed: bool) -> None:
        """A hoster has the turn: it gets the parts. `resumed` is for one that starts from the newest checkpoint
        or from nothing; otherwise it is sent what it has not said to have taken."""
        self._stop_sender()
        self._channel = channel
        if resumed:
            self._accepted = self._said_accepted = int(max(self._base, min(self._covered, self._end)))
            self._wanted = self._said_wanted = 0
        self._sent = self._accepted
        self._weigh()
        self._send()

    def detach(self) -> None:
        """Nothing more is sent. Wakes those who wait."""
        self._stop_sender()
        self._channel = None
        self._kept.clear()
        self._kept_bytes = self._flying_bytes = 0
        self._applied = ReplayLog()
        self._room.set()

    def wake(self) -> None:
        self._room.set()

    def accepted(self, next_part: int, wanted: int = 0) -> None:
        """The hoster has taken the parts below `next_part`, or has those below `wanted` and needs more."""
        self._said_accepted = max(self._said_accepted, next_part)
        self._said_wanted = max(self._said_wanted, wanted)
        self._heed()

    def applied(self, part: int, position: int) -> None:
        """A record told that a part was applied."""
        self._applied.append(_Applied(part, position))
        self.accepted(part + 1)

    def checkpoint(self, position: int) -> None:
        """A checkpoint holds everything that was applied before `position`."""
        newest = self._applied.covered(position)
        if newest is not None:
            self._covered = max(self._covered, newest.part + 1)
        self._drop()

    def forget(self) -> None:
        """The turn runs and cannot go on elsewhere: what was taken need not be kept."""
        self._covered = float("inf")
        self._drop()

    def _drop(self) -> None:
        # Parts that are not covered are given up rather than bounded memory; parts on their way never.
        dropped = False
        while self._kept and self._base < min(self._accepted, self._end):
            if self._base >= self._covered and self._kept_bytes <= self._most_replay:
                break
            _, size = self._kept.popleft()
            self._kept_bytes -= size
            self._base += 1
            dropped = True
        if dropped:
            needed = self._base - 1
            self._applied.give_up(lambda entry: entry.part >= needed)

    def _heed(self) -> None:
        # What was said of parts counts once they are sent.
        counted = self._counted
        self._accepted = max(self._accepted, min(self._said_accepted, self._sent))
        self._wanted = max(self._wanted, min(self._said_wanted, self._sent))
        for number in range(counted, self._counted):
            if number >= self._base:
                self._flying_bytes -= self._kept[number - self._base][1]
        self._drop()
        self._room.set()

    def _send(self) -> None:
        channel = self._channel
        if channel is not None and self._sender is None:
            while self._sent < self._end and not channel.over:
                part = self._kept[self._sent - self._base][0]
                self._sent += 1
                if not channel.send(hoster_pb2.SessionStreamRequest(input=part)):
                    self._sender = asyncio.create_task(self._send_later(channel), name="cabstand-parts")
                    break
        self._heed()

    async def _send_later(self, channel: SessionChannel) -> None:
        await channel.drained()
        if self._channel is channel:
            self._sender = None
            self._send()

    def _stop_sender(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None

    def _weigh(self) -> None:
        first = self._counted
        self._flying_bytes = sum(
            size for number, (_, size) in enumerate(self._kept, start=self._base) if number >= first
        )
