"""A session that somebody else uses, watched."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING

from cabstand._channel import SessionChannel, Silence, ended_early
from cabstand._errors import CabstandError, from_detail
from cabstand._find import find_session
from cabstand._options import Timeouts
from cabstand._placement import Node, Placement
from cabstand._results import (
    Chunk,
    EndReason,
    Message,
    Skipped,
    closed_error,
    end_reason,
    is_gone,
    message_of,
    notice_of,
)
from cabstand._retry import gone_at_hoster, trust_ended
from cabstand._transport import Transport
from cabstand._wire import hoster_pb2, model_pb2, session_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

_AGAIN = 0.25
"""How long to wait before a session is looked for again, in seconds."""
_MAY_GO_ON: tuple[EndReason, ...] = ("migrated", "evicted", "lost")
"""Ends at one hoster after which a session may go on at another one."""


class View:
    """What comes of a session that somebody else uses, as fast as this process reads it: `async for chunk in view`.
    What it is too slow for is left out, and nothing of the session waits for it. It goes along when the session
    moves, and ends with it; leaving the loop leaves the view open: close it, or use `async with`.

    Attributes:
        id: name of the session.
        model: that of the session.
        reason: why the session has ended; None before that.
        error: the error it ended with, if any.
        skipped: records that were left out so far.
    """

    def __init__(
        self,
        id: str,
        found: tuple[Node, hoster_pb2.SessionStatusResponse],
        placement: Placement,
        transport: Transport,
        timeouts: Timeouts,
        released: Callable[[View], None],
    ) -> None:
        self.id = id
        self.model = found[1].model
        self.reason: EndReason | None = None
        self.error: CabstandError | None = None
        self.skipped = 0
        self._node = found[0]
        self._epoch = found[1].epoch
        """The highest that is known of the session."""
        self._placement = placement
        self._transport = transport
        self._timeouts = timeouts
        self._released = released
        self._channel: SessionChannel | None = None
        self._fresh = True
        """Nothing has come on this stream."""
        self._renewed = False
        self._next = 0
        """Position of the next record that has not been here."""
        self._chunks = 0
        self._moved = False
        """It has gone along, and no record has come since."""
        self._items: deque[Chunk | Message | Skipped] = deque()
        self._is_module = False
        self._over = False
        self._reading = False

    @property
    def hoster(self) -> str:
        """Address of the hoster that has the session."""
        return self._node.address

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        """Chunks alone; `index` counts those of the view."""
        while True:
            item = await self._item()
            if isinstance(item, Chunk):
                return item

    async def events(self) -> AsyncIterator[Chunk | Message | Skipped]:
        """Chunks, what a module tells between them (with position -1 where it was a notice), and what was left
        out."""
        while True:
            try:
                item = await self._item()
            except StopAsyncIteration:
                return
            yield item

    async def aclose(self) -> None:
        """Watches no more. Never raises."""
        self._end(CabstandError("CANCELLED", "the view was closed"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _item(self) -> Chunk | Message | Skipped:
        if self._reading:
            raise CabstandError("SESSION_BUSY", "the view is being read by somebody else")
        self._reading = True
        try:
            while True:
                if self._items:
                    return self._items.popleft()
                if self._over:
                    raise StopAsyncIteration
                try:
                    self._take(await self._read())
                except CabstandError as error:
                    if not self._over and not await self._goes_on(error):
                        self._end(error)
                        raise
        finally:
            self._reading = False

    async def _read(self) -> hoster_pb2.SessionStreamResponse:
        channel = self._channel
        if channel is None:
            watch = hoster_pb2.Attach(session_id=self.id, role=hoster_pb2.ATTACH_ROLE_VIEWER)
            message = hoster_pb2.SessionStreamRequest(attach=watch)
            channel = await self._transport.session(self._node.address, message)
            if self._over:
                channel.cancel()
                raise CabstandError("CANCELLED", "the view was closed")
            self._channel, self._fresh = channel, True
        try:
            # A session may be silent for long; whether its hoster is there pings find out.
            response = await channel.read(self._timeouts.first if self._fresh else None)
        except Silence:
            raise CabstandError("NODE_STALLED", "the hoster did not let this process watch in time") from None
        if response is None:
            raise ended_early()
        self._fresh = self._renewed = False
        return response

    def _take(self, response: hoster_pb2.SessionStreamResponse) -> None:
        kind = response.WhichOneof("event")
        if kind == "record":
            self._record(response.record)
        elif kind == "notice":
            self._notice(response.notice)
        elif kind == "closed":
            closed = response.closed
            reason = end_reason(closed.reason)
            self.error = from_detail(closed.error) if closed.HasField("error") else None
            self.reason = reason
            if reason in _MAY_GO_ON:
                raise closed_error(reason, self.error)
            self._end(CabstandError("CANCELLED", "the session has ended"))

    def _record(self, record: session_pb2.Record) -> None:
        if record.position < self._next:
            return
        # What came while it looked for the session, nobody says.
        if self._moved and record.position > self._next:
            self._left_out(record.position - self._next)
        self._moved = False
        self._next = record.position + 1
        self._epoch = max(self._epoch, record.epoch)
        body = record.WhichOneof("body")
        if body == "chunk":
            self._items.append(Chunk(record, self._chunks))
            self._chunks += 1
        elif body == "message":
            self._items.append(message_of(record))
        elif body == "end_of_turn" and self._is_module and not is_gone(record.end_of_turn):
            # A module has one turn; its hoster may keep the session for who has not read that.
            end = record.end_of_turn
            self.reason = end_reason(end.reason)
            self.error = from_detail(end.error) if end.HasField("error") else None
            self._end(CabstandError("CANCELLED", "the session has ended"))

    def _notice(self, notice: hoster_pb2.Notice) -> None:
        what = notice.WhichOneof("what")
        if what == "opened":
            self._is_module = notice.opened.survival != model_pb2.SURVIVAL_UNSPECIFIED
        elif what == "module":
            self._items.append(notice_of(notice.module))
        elif what == "skipped":
            self._left_out(notice.skipped.records)

    def _left_out(self, records: int) -> None:
        self.skipped += records
        self._items.append(Skipped(records))

    async def _goes_on(self, error: CabstandError) -> bool:
        """The stream is of no use any more. Answers whether the view goes on: by another stream, or to its end."""
        self._drop(error)
        if error.error_class == "auth" and not trust_ended(error):
            # Refused: other credentials may do, once.
            if self._renewed or not await self._transport.renew(error, self._node.address):
                return False
            self._renewed = True
            return True
        known = self.reason in _MAY_GO_ON
        if not known and not (error.error_class == "node" or gone_at_hoster(error) or trust_ended(error)):
            return False
        until = time.monotonic() + self._timeouts.recover
        while not self._over:
            await asyncio.sleep(_AGAIN)
            try:
                self._node, status = await find_session(
                    self._placement, self._transport, self.id, self.model, self._timeouts.acquire
                )
            except CabstandError:
                if time.monotonic() < until:
                    continue
                if known:
                    # Nobody went on with it: that was its end.
                    self._end(error)
                return known
            self.reason = self.error = None
            if self._is_another(status):
                self._next, self._epoch = 0, status.epoch
            self._moved = self._next > 0
            break
        return True

    def _is_another(self, status: hoster_pb2.SessionStatusResponse) -> bool:
        """Whether the session was begun anew under its name, and counts its positions anew. Whoever goes on with one
        elsewhere raises its epoch, and under one epoch positions only grow. A copy that was left behind, with nobody
        who reads it, has a lower epoch, too."""
        if status.epoch < self._epoch:
            return status.state != session_pb2.SESSION_STATE_ORPHANED
        return status.epoch == self._epoch and status.position < self._next

    def _drop(self, error: CabstandError) -> None:
        if self._channel is not None:
            self._channel.cancel(error)
            self._channel = None

    def _end(self, why: CabstandError) -> None:
        if self._over:
            return
        self._over = True
        self._drop(why)
        self._released(self)
