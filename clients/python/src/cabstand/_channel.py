"""One bidirectional stream of a session: read by one task, written by one task of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

import grpc.aio as aio

from cabstand._auth import Verifier
from cabstand._errors import CabstandError, from_rpc
from cabstand._wire import hoster_pb2

MOST_UNSENT = 8
"""Messages that may wait for the network before a sender should."""
_VERDICT_SECONDS = 1.0
"""How long a stream that cannot be written to has to say why."""


class Silence(Exception):
    """Nothing came in time; the stream is as it was."""


def ended_early() -> CabstandError:
    return CabstandError("NODE_BAD_REPLY", "the hoster ended the stream before the end of its turn")


def _taken(reading: asyncio.Future[Any]) -> None:
    if not reading.cancelled():
        reading.exception()


class SessionChannel:
    """gRPC takes one write at a time, so acks, input and commands go through one queue and one task. A write
    that fails is never the verdict: how the stream ended is."""

    def __init__(
        self, call: Any, first: Iterable[hoster_pb2.SessionStreamRequest], verify: Verifier | None = None
    ) -> None:
        self._call = call
        self._verify = verify
        """What the hoster has to prove before anything of the stream counts; None once it has."""
        self._unsent: deque[hoster_pb2.SessionStreamRequest] = deque(first)
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._reading: asyncio.Task[Any] | None = None
        self._cancelled: CabstandError | None = None
        self._over = False
        self._writer = asyncio.create_task(self._write(), name="cabstand-writer")

    @property
    def over(self) -> bool:
        """It has ended, or was given up."""
        return self._over

    def send(self, message: hoster_pb2.SessionStreamRequest) -> bool:
        """Queues a message. Answers whether another one should follow before `drained`."""
        if self._over:
            return True
        self._unsent.append(message)
        self._drained.clear()
        self._wake.set()
        return len(self._unsent) < MOST_UNSENT

    async def drained(self) -> None:
        """Resolves when the queue is short again, or the stream has ended."""
        if len(self._unsent) >= MOST_UNSENT and not self._over:
            self._drained.clear()
            await self._drained.wait()

    async def ready(self, timeout: float) -> None:
        """Waits for the first word, which stays to be read. Raises Silence, or what the stream ended with."""
        await self._arrive(timeout)
        reading = self._reading
        assert reading is not None
        if reading.cancelled() or reading.exception() is not None or reading.result() is aio.EOF:
            await self.read(timeout)
            raise self._ended(ended_early())

    async def read(self, timeout: float | None = None) -> hoster_pb2.SessionStreamResponse | None:
        """The next message; None where the stream ended well. Raises Silence after `timeout`, and CabstandError
        with what it ended with."""
        await self._arrive(timeout)
        reading, self._reading = self._reading, None
        assert reading is not None
        try:
            message = reading.result()
        except asyncio.CancelledError:
            raise self._ended(CabstandError("CANCELLED", "the stream was cancelled")) from None
        except Exception as thrown:
            raise self._ended(from_rpc(thrown)) from thrown
        if message is not aio.EOF:
            await self._prove()
            response: hoster_pb2.SessionStreamResponse = message
            return response
        self._finish()
        return None

    async def _prove(self) -> None:
        if self._verify is None:
            return
        try:
            self._verify(await self._call.initial_metadata())
        except CabstandError as error:
            self.cancel(error)
            raise
        self._verify = None

    def cancel(self, error: CabstandError | None = None) -> None:
        """Lets go of the stream. Whoever reads it is told `error`."""
        if self._cancelled is None:
            self._cancelled = error
        self._finish()
        self._call.cancel()

    async def _arrive(self, timeout: float | None) -> None:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
            # Who has let go of the stream does not ask how it ended: that is no exception that nobody fetched.
            self._reading.add_done_callback(_taken)
        # Cancelling a read would cancel the call: it goes on beside whoever waits for it.
        done, _ = await asyncio.wait({self._reading}, timeout=timeout)
        if not done:
            raise Silence

    def _ended(self, error: CabstandError) -> CabstandError:
        self._finish()
        return self._cancelled or error

    def _finish(self) -> None:
        self._over = True
        self._drained.set()
        self._writer.cancel()

    async def _write(self) -> None:
        try:
            while True:
                while self._unsent:
                    await self._call.write(self._unsent[0])
                    self._unsent.popleft()
                    if len(self._unsent) < MOST_UNSENT:
                        self._drained.set()
                self._wake.clear()
                await self._wake.wait()
        except asyncio.CancelledError:
            raise
        except Exception as thrown:
            self._drained.set()
            self._unsent.clear()
            self._over = True
            # Its end tells why, to whoever reads it. A stream that cannot be written to and says nothing is
            # given up; that is no fault of the hoster's.
            await asyncio.sleep(_VERDICT_SECONDS)
            if not self._call.done():
                self.cancel(CabstandError("NODE_UNREACHABLE", f"the stream takes no more: {thrown}"))
