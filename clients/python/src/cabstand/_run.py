"""The records of one turn, from whichever stream brings them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cabstand._channel import SessionChannel, Silence, ended_early
from cabstand._errors import CabstandError, from_detail
from cabstand._live_parts import LiveParts
from cabstand._results import closed_error, end_reason, is_gone
from cabstand._wire import hoster_pb2, session_pb2

if TYPE_CHECKING:
    from cabstand._core import Core
    from cabstand._placement import Node

_STALL_FACTOR = 5
"""A wait may take this many times as long as the longest one before it."""
_BLOCKED = 0.25
"""A timer that fires this late was held up by the application's own event loop."""
_MOST_TOGETHER = 65_536


class Run:
    """Where a stream breaks, a durable session's turn waits for the next one, and its reader notices nothing but
    time."""

    def __init__(
        self,
        core: Core,
        turn_input: session_pb2.TurnInput | None,
        live: LiveParts | None,
        paused: Callable[[], bool],
    ) -> None:
        self._core = core
        self.turn = core.standing.turn
        self.position = core.standing.guard.next
        """Where it begins."""
        self.input = turn_input
        """None once the turn runs if it was too much to keep."""
        self.live = live
        self.cancelled = False
        self.taken = False
        """A hoster has sent a record of it."""
        self.recovers = False
        """Whether a failure of the stream is its session's to mend. Until then it is raised."""
        self.channel: SessionChannel | None = None
        self.opened = False
        """A notice has come since the stream began."""
        self.touched = time.monotonic()
        self._paused = paused
        self._held: list[session_pb2.Record] = []
        self._fresh = True
        self._longest = 0.0
        self._broken: CabstandError | None = None
        self._ready: list[session_pb2.Record] | None = None

    def use(self, channel: SessionChannel, node: Node | None = None) -> None:
        """It is read from this stream from now on."""
        self.channel = channel
        self._held = []
        self._fresh = True
        self.opened = False
        self._broken = None

    async def begin(self) -> None:
        """Waits for the first records, which `next` then gives."""
        if self._ready is None:
            self._ready = await self._fill()

    async def next(self) -> list[session_pb2.Record]:
        """The next records that belong together, none of which was here before."""
        ready, self._ready = self._ready, None
        if ready is not None:
            return ready
        while True:
            try:
                return await self._fill()
            except CabstandError as error:
                self.fail(error)
                if not self.recovers:
                    raise
                self.use(await self._core.regain(self, error))

    def fail(self, error: CabstandError) -> None:
        """The stream is of no use any more."""
        if self._broken is None:
            self._broken = error
        if self.channel is not None:
            self.channel.cancel(error)

    async def _fill(self) -> list[session_pb2.Record]:
        while True:
            message = await self._read()
            kind = message.WhichOneof("event")
            if kind == "record":
                record = message.record
                self._check_gone(record)
                self._held.append(record)
                if record.more:
                    if len(self._held) >= _MOST_TOGETHER:
                        raise CabstandError("NODE_BAD_REPLY", f"{_MOST_TOGETHER} records together, and no last one")
                    continue
                whole, self._held = self._held, []
                fresh = self._core.accept(whole, self)
                if fresh:
                    self._fresh = False
                    self.taken = True
                    return fresh
            elif kind == "notice":
                self.opened = True
                self._core.notice(message.notice, self)
            elif kind == "closed":
                closed = message.closed
                error = from_detail(closed.error) if closed.HasField("error") else None
                raise closed_error(end_reason(closed.reason), error)

    async def _read(self) -> hoster_pb2.SessionStreamResponse:
        timeouts = self._core.options.timeouts
        channel = self.channel
        if channel is None:
            raise self._broken or CabstandError("NODE_UNREACHABLE", "this process has no stream of the session")
        limit = timeouts.first if self._fresh else max(timeouts.stall, self._longest * _STALL_FACTOR)
        since = time.monotonic()
        waited_from = since
        again = False
        while True:
            left = limit - (time.monotonic() - since)
            planned = time.monotonic() + left
            try:
                message = await channel.read(None if math.isinf(left) else max(0.0, left))
            except Silence:
                now = time.monotonic()
                if self.opened and (self._core.patient or self._paused()):
                    since = now
                elif self.touched > since:
                    since = self.touched
                elif now - planned > _BLOCKED and not again:
                    # What arrived while the loop was blocked has not been read yet: give it one more period.
                    again = True
                    since = now
                else:
                    what = "no first record" if self._fresh else "no further record"
                    waited = str(round((now - since) * 1000))
                    raise CabstandError(
                        "NODE_STALLED", f"{what} within {waited} ms", metadata={"waited_ms": waited}
                    ) from None
                continue
            except CabstandError as error:
                raise self._broken or error from error.__cause__
            if message is None:
                raise self._broken or ended_early()
            if not self._fresh:
                self._longest = max(self._longest, time.monotonic() - waited_from)
            return message

    def _check_gone(self, record: session_pb2.Record) -> None:
        """A session that went with its turn: that end is not the turn's, which goes on elsewhere."""
        if record.WhichOneof("body") != "end_of_turn" or not is_gone(record.end_of_turn):
            return
        end = record.end_of_turn
        error = from_detail(end.error) if end.HasField("error") else None
        durable = self._core.options.durable
        # Waiting for room does not bring back a session that ended for want of it.
        if durable and self.position > 0 and error is not None and error.error_class == "overload":
            raise CabstandError("SESSION_EVICTED", error.message) from error
        if not self.taken and error is not None:
            raise error
        if durable:
            raise closed_error(end_reason(end.reason), error)
