"""Turns whose input comes while their output goes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from cabstand._errors import CabstandError, invalid
from cabstand._live_parts import LiveParts
from cabstand._run import Run
from cabstand._turn import Turn
from cabstand._wire import session_pb2

if TYPE_CHECKING:
    from cabstand._core import Core


class LiveTurn(Turn):
    """A turn whose input comes while its output goes: a microphone, say. Send parts and read chunks at the same
    time; `end` says that no more input follows."""

    def __init__(
        self,
        core: Core,
        make_input: Callable[[], Awaitable[session_pb2.TurnInput | None]],
        make_tensors: Callable[[Any], Awaitable[list[Any]]],
        *,
        before: Turn | None,
        timeout: float | None,
        most_parts: int,
        most_bytes: int,
    ) -> None:
        super().__init__(core, make_input, before=before, timeout=timeout)
        for name, value in (("max_parts_in_flight", most_parts), ("max_bytes_in_flight", most_bytes)):
            if value < 1:
                raise invalid(name, value, "at least 1")
        self._make_tensors = make_tensors
        self._parts = self._live = LiveParts(
            most_parts=most_parts, most_bytes=most_bytes, most_replay=core.standing.continuation.room
        )
        self._part = 0
        self._ended = False
        self._writers = 0
        self._sending = asyncio.Lock()
        self._known = asyncio.Event()
        self._begin()

    async def send(self, inputs: Any) -> None:
        """Sends a part of the input: an array, or arrays by name. Resolves when there is room for the next one, so
        awaiting it is what bounds memory; arrays may be changed afterwards. Raises what the turn failed with, and
        LIMIT_EXCEEDED where there was no room for `timeouts.write` because nobody reads the chunks."""
        if self._ended:
            raise CabstandError("INVALID_ARGUMENT", "send: the input of this turn was ended")
        await self._add(inputs, last=False)

    async def end(self) -> None:
        """No more input follows: the turn ends when all of it is used up."""
        if not self._ended:
            self._ended = True
            self._touch()
            await self._add(None, last=True)

    async def _add(self, inputs: Any, *, last: bool) -> None:
        # One at a time, in the order of the calls.
        async with self._sending:
            tensors = [] if inputs is None else await self._make_tensors(inputs)
            await self._known.wait()
            self._check()
            assert self._run is not None
            part = session_pb2.LiveInput(turn=self._run.turn, part=self._part, inputs=tensors, last=last)
            # A part that is refused here is none: those that follow are numbered without a gap.
            self._part += 1
            self._parts.add(part, sum(len(tensor.data) for tensor in tensors))
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        limit = self._core.options.timeouts.write
        until = time.monotonic() + limit
        while not self._parts.has_room and not self._over:
            self._writers += 1
            self._touch()
            try:
                left = until - time.monotonic()
                await asyncio.wait_for(self._parts.room(), None if math.isinf(left) else max(0.0, left))
            except asyncio.TimeoutError:
                # Where the chunks are read, the stall clock of the reading side decides. A reader may be busy with
                # one just now.
                now = time.monotonic()
                until = now + limit if self._has_space else self._read_at + limit
                if until <= now:
                    raise invalid(
                        "timeouts.write",
                        limit,
                        "that the chunks of the turn are read while it is written: there is no room",
                        "LIMIT_EXCEEDED",
                    ) from None
            finally:
                self._writers -= 1
        self._check()

    def _check(self) -> None:
        if self._over and self.result is None:
            raise self._failure or CabstandError("CANCELLED", "the turn is over")

    def _numbered(self, run: Run) -> None:
        super()._numbered(run)
        self._known.set()

    def _paused(self) -> bool:
        return not self._ended and self._writers == 0

    def _touch(self) -> None:
        if self._run is not None:
            self._run.touched = time.monotonic()

    def _end(self, record: session_pb2.Record) -> None:
        super()._end(record)
        self._parts.detach()

    def _fail(self, error: CabstandError) -> None:
        super()._fail(error)
        self._known.set()
