"""Turns, to those who read them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING

from cabstand._errors import CabstandError, from_rpc, invalid
from cabstand._live_parts import LiveParts
from cabstand._results import Chunk, Message, TurnResult, message_of
from cabstand._run import Run
from cabstand._wire import session_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

    from cabstand._core import Core

_MOST_AHEAD = 256
"""Records that are read ahead of the application while it waits for the result of a command."""


def _size(record: session_pb2.Record) -> int:
    """Bytes of a record's content, about."""
    chunk = record.chunk
    return len(chunk.text) + sum(len(tensor.data) for tensor in chunk.outputs)


class Turn:
    """The chunks of one turn: `async for chunk in turn`. Leaving the loop early cancels the turn before the
    session's next one begins; `async with session.run(…) as turn` does so at once.

    Attributes:
        result: how the turn ended; None before its end.
    """

    def __init__(
        self,
        core: Core,
        make_input: Callable[[], Awaitable[session_pb2.TurnInput | None]],
        *,
        before: Turn | None,
        timeout: float | None,
        chunks_before: int = 0,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise invalid("timeout", timeout, "a number of seconds above 0")
        self.result: TurnResult | None = None
        self._core = core
        self._make_input = make_input
        self._before = before
        self._timeout = timeout
        self._records: deque[session_pb2.Record] = deque()
        self._arrived = asyncio.Event()
        self._space = asyncio.Event()
        self._run: Run | None = None
        self._live: LiveParts | None = None
        self._pump: asyncio.Task[None] | None = None
        self._failure: CabstandError | None = None
        self._given: tuple[int, int] | None = None
        self._chunks = chunks_before
        self._left = False
        self._over = False
        self._readers = 0
        self._read_at = 0.0
        """When a chunk was asked for last."""

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        while True:
            item = await self._next()
            if isinstance(item, Chunk):
                return item

    async def events(self) -> AsyncIterator[Chunk | Message]:
        """Chunks, and what a module tells between them."""
        while True:
            try:
                item = await self._next()
            except StopAsyncIteration:
                return
            yield item

    async def text(self) -> str:
        """The text of all chunks that are left."""
        return "".join([chunk.text async for chunk in self])

    async def cancel(self) -> None:
        """Asks the hoster to stop before its next step. The loop goes on to the end of the turn, whose
        `result.reason` is `cancelled`."""
        if self._pump is None:
            await self.aclose()
        else:
            self._core.cancel_turn()

    async def aclose(self) -> None:
        """Leaves the turn: it is cancelled, and what of it is under way is dropped."""
        await self._leave(CabstandError("CANCELLED", "the turn was left before its end"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # The side of the reader.

    async def _next(self) -> Chunk | Message:
        self._read_at = time.monotonic()
        if self._given is not None:
            # By asking for the next one the application says that it is through with the one before.
            self._core.delivered(*self._given)
            self._given = None
        self._begin()
        while True:
            while self._records:
                record = self._records.popleft()
                self._space.set()
                size = _size(record)
                body = record.WhichOneof("body")
                if body == "chunk":
                    self._given = record.position, size
                    chunk = Chunk(record, self._chunks)
                    self._chunks += 1
                    return chunk
                if body == "end_of_turn":
                    self._end(record)
                elif body == "message":
                    self._given = record.position, size
                    return message_of(record)
                else:
                    self._core.delivered(record.position, 0)
            if self._over:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            self._readers += 1
            try:
                await self._arrived.wait()
            finally:
                self._readers -= 1

    def _end(self, record: session_pb2.Record) -> None:
        assert self._run is not None
        self._over = True
        try:
            self.result = self._core.end_turn(self._run, record, self._chunks)
        except CabstandError as error:
            self._failure = error

    # The side of the stream.

    async def _settle_before(self) -> None:
        """The turn before is wound up. Raises SESSION_BUSY where somebody waits for a record of it right now."""
        before = self._before
        if before is None:
            return
        if before._readers > 0:
            raise CabstandError("SESSION_BUSY", "the turn before is still being read: one turn runs at a time")
        await before._settle_before()
        await before.aclose()
        self._before = None

    def _begin(self) -> None:
        if self._pump is None and not self._over:
            self._pump = asyncio.create_task(self._work(), name="cabstand-turn")

    def _numbered(self, run: Run) -> None:
        self._run = run

    def _paused(self) -> bool:
        return False

    async def _work(self) -> None:
        if self._timeout is None or math.isinf(self._timeout):
            await self._read()
            return
        reading = asyncio.create_task(self._read(), name="cabstand-read")
        try:
            done, _ = await asyncio.wait({reading}, timeout=self._timeout)
            if done:
                return
            late = CabstandError("DEADLINE_EXCEEDED", f"the turn took longer than {self._timeout} s")
            self._fail(late)
            self._give_up()
            await asyncio.wait({reading}, timeout=self._core.options.timeouts.close)
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
                self._abandon()

    async def _read(self) -> None:
        try:
            await self._settle_before()
            turn_input = await self._make_input()
            run = await self._core.start(turn_input, self._live, self._paused, self._numbered)
            if self._left:
                self._core.cancel_turn()
            while True:
                records = await run.next()
                self._take(records)
                if records[-1].WhichOneof("body") == "end_of_turn":
                    return
                while not self._has_space:
                    self._space.clear()
                    await self._space.wait()
        except asyncio.CancelledError:
            self._fail(CabstandError("CANCELLED", "the session was closed"))
            raise
        except Exception as thrown:
            error = from_rpc(thrown)
            if self._run is not None:
                self._core.turn_failed(self._run, error)
            self._fail(error)

    @property
    def _has_space(self) -> bool:
        most = self._core.options.max_buffered
        if self._core.commands.awaited:
            most = max(most, _MOST_AHEAD)
        return self._left or len(self._records) < most

    def _take(self, records: list[session_pb2.Record]) -> None:
        if not self._left:
            self._records.extend(records)
            self._arrived.set()
            return
        # Nobody reads it any more: its hoster is to come to its end.
        for record in records:
            if record.WhichOneof("body") == "end_of_turn":
                failure = self._failure
                self._end(record)
                self._failure = failure
            else:
                self._core.delivered(record.position, 0)

    def _fail(self, error: CabstandError) -> None:
        if self._failure is None:
            self._failure = error
        self._over = True
        self._arrived.set()
        if self._live is not None:
            self._live.detach()

    def wake(self) -> None:
        """What holds the reading back may have changed."""
        self._space.set()

    def _give_up(self) -> None:
        """Nobody reads it any more."""
        self._left = True
        if self._records:
            records = list(self._records)
            self._records.clear()
            self._take(records)
        self._space.set()
        self._core.cancel_turn()

    async def _leave(self, why: CabstandError) -> None:
        if self._over:
            # Its deadline passed, and it is being wound up: until then its stream is read by it alone.
            if self._pump is not None and not self._pump.done():
                await asyncio.wait({self._pump})
            return
        if self._pump is None or self._pump.done():
            if self._records:
                self._give_up()
            self._over = True
            return
        self._give_up()
        if self._core.standing.state == "idle":
            # No hoster has it: there is nothing to wind up.
            self._pump.cancel()
        done, _ = await asyncio.wait({self._pump}, timeout=self._core.options.timeouts.close)
        if not done:
            self._pump.cancel()
            await asyncio.wait({self._pump})
            self._abandon()
        self._over = True
        if self._failure is None:
            self._failure = why
        self._arrived.set()

    def _abandon(self) -> None:
        """The hoster did not come to the turn's end in time: its session is of no use any more."""
        if self._run is not None and self._core.standing.state != "idle":
            error = CabstandError("NODE_STALLED", "the hoster did not end a cancelled turn in time")
            self._run.fail(error)
            self._core.turn_failed(self._run, error)

    async def _stop(self) -> None:
        """The session is closed."""
        if self._before is not None:
            await self._before._stop()
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            await asyncio.wait({self._pump})
        if not self._over:
            self._fail(CabstandError("CANCELLED", "the session was closed"))
