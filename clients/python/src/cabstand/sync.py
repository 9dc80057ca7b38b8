"""The same without asyncio: `with cabstand.sync.connect("127.0.0.1:50050", key=…) as client`.

Every client has a thread with an event loop of its own, in which its sessions live; it may be used from several
threads. A turn is read by one thread at a time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import cabstand
from cabstand._client import connect as _connect
from cabstand._errors import CabstandError
from cabstand._results import Chunk, EndReason, Message, Skipped, TurnResult
from cabstand._tensors import Array
from cabstand._wire import model_pb2, router_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine in the loop and waits for it. An interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(make(), self._running())
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise CabstandError("CANCELLED", "the call was cancelled") from None
        except BaseException:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._process != os.getpid():
                if self._loop is not None:
                    raise CabstandError(
                        "CONFIG_INVALID",
                        "the client was used before this process was forked, and its thread is not in it: "
                        "connect after the fork, or start processes with multiprocessing's `spawn`",
                    )
                self._process = os.getpid()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="cabstand", daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None and self._process == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _next_of(items: AsyncIterator[T]) -> T | None:
    """The next one; None behind the last: StopAsyncIteration does not pass through a future as it is."""
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return None


class _Closing:
    """Is closed where its `with` ends."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Turn(_Closing):
    """The chunks of one turn: `for chunk in turn`. See `cabstand.Turn`."""

    def __init__(self, loop: _Loop, turn: cabstand.Turn) -> None:
        self._loop = loop
        self._turn = turn

    @property
    def result(self) -> TurnResult | None:
        """How the turn ended; None before its end."""
        return self._turn.result

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        chunk = self._loop.call(lambda: _next_of(self._turn))
        if chunk is None:
            raise StopIteration
        return chunk

    def events(self) -> Iterator[Chunk | Message]:
        """Chunks, and what a module tells between them."""
        events = self._turn.events()
        while (event := self._loop.call(lambda: _next_of(events))) is not None:
            yield event

    def text(self) -> str:
        """The text of all chunks that are left."""
        return self._loop.call(self._turn.text)

    def cancel(self) -> None:
        """Asks the hoster to stop before its next step; the loop goes on to the end of the turn."""
        self._loop.call(self._turn.cancel)

    def close(self) -> None:
        """Leaves the turn: it is cancelled, and what of it is under way is dropped."""
        self._loop.call(self._turn.aclose)


class LiveTurn(Turn):
    """A turn whose input comes in parts. Send in one thread, read in another; see `cabstand.LiveTurn`."""

    def __init__(self, loop: _Loop, turn: cabstand.LiveTurn) -> None:
        super().__init__(loop, turn)
        self._live = turn

    def send(self, inputs: Any) -> None:
        """Sends a part of the input; waits until there is room for the next one."""
        self._loop.call(lambda: self._live.send(inputs))

    def end(self) -> None:
        """No more input follows."""
        self._loop.call(self._live.end)


class Session(_Closing):
    """See `cabstand.Session`."""

    def __init__(self, loop: _Loop, session: cabstand.Session) -> None:
        self._loop = loop
        self._session = session

    @property
    def id(self) -> str:
        """Its name at its hoster; settled once one has opened it."""
        return self._session.id

    @property
    def model(self) -> str:
        return self._session.model

    @property
    def hoster(self) -> str | None:
        """Address of the hoster that has it, or had it last."""
        return self._session.hoster

    @property
    def position(self) -> int:
        """The position of the next record."""
        return self._session.position

    def run(self, inputs: Any = None, **options: Any) -> Turn:
        """A turn, with the arguments of `cabstand.Session.run`."""

        async def make() -> cabstand.Turn:
            return self._session.run(inputs, **options)

        return Turn(self._loop, self._loop.call(make))

    def generate(self, prompt: str | Sequence[int] | Array | None = None, **options: Any) -> Turn:
        """A turn of a language model, with the arguments of `cabstand.Session.generate`."""

        async def make() -> cabstand.Turn:
            return self._session.generate(prompt, **options)

        return Turn(self._loop, self._loop.call(make))

    def live(self, inputs: Any = None, **options: Any) -> LiveTurn:
        """A turn whose input comes in parts, with the arguments of `cabstand.Session.live`."""

        async def make() -> cabstand.LiveTurn:
            return self._session.live(inputs, **options)

        return LiveTurn(self._loop, self._loop.call(make))

    def rest(self, *, timeout: float | None = None) -> Turn:
        """The rest of a turn that runs, in a session that was attached to."""

        async def make() -> cabstand.Turn:
            return self._session.rest(timeout=timeout)

        return Turn(self._loop, self._loop.call(make))

    def command(self, name: str, arguments: object = None) -> Any:
        """Tells a module's session something while its turn runs; answers the result once it was applied."""
        return self._loop.call(lambda: self._session.command(name, arguments))

    def close(self) -> None:
        """Ends the session at its hoster."""
        self._loop.call(self._session.close)


class View(_Closing):
    """A session that somebody else uses, watched: `for chunk in view`. See `cabstand.View`."""

    def __init__(self, loop: _Loop, view: cabstand.View) -> None:
        self._loop = loop
        self._view = view

    @property
    def id(self) -> str:
        return self._view.id

    @property
    def model(self) -> str:
        return self._view.model

    @property
    def hoster(self) -> str:
        """Address of the hoster that has the session."""
        return self._view.hoster

    @property
    def reason(self) -> EndReason | None:
        """Why the session has ended; None before that."""
        return self._view.reason

    @property
    def error(self) -> CabstandError | None:
        """The error it ended with, if any."""
        return self._view.error

    @property
    def skipped(self) -> int:
        """Records that were left out so far."""
        return self._view.skipped

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        chunk = self._loop.call(lambda: _next_of(self._view))
        if chunk is None:
            raise StopIteration
        return chunk

    def events(self) -> Iterator[Chunk | Message | Skipped]:
        """Chunks, what a module tells between them, and what was left out."""
        events = self._view.events()
        while (event := self._loop.call(lambda: _next_of(events))) is not None:
            yield event

    def close(self) -> None:
        """Watches no more."""
        self._loop.call(self._view.aclose)


class Client(_Closing):
    """See `cabstand.Client`; `connect` makes one."""

    def __init__(self, client: cabstand.Client) -> None:
        self._loop = _Loop()
        self._client = client

    def session(self, model: str, **options: Any) -> Session:
        """A new session, with the arguments of `cabstand.Client.session`."""
        return Session(self._loop, self._client.session(model, **options))

    def attach(self, id: str, **options: Any) -> Session:
        """Takes over a session by its name, with the arguments of `cabstand.Client.attach`."""
        return Session(self._loop, self._loop.call(lambda: self._client.attach(id, **options)))

    def view(self, id: str, **options: Any) -> View:
        """Watches a session that somebody else uses, with the arguments of `cabstand.Client.view`."""
        return View(self._loop, self._loop.call(lambda: self._client.view(id, **options)))

    def nodes(self) -> list[router_pb2.NodeInfo]:
        """The hosters of the subnet, as a router tells them now."""
        return self._loop.call(self._client.nodes)

    def info(self, model: str) -> model_pb2.ModelInfo:
        """What a model takes and gives."""
        return self._loop.call(lambda: self._client.info(model))

    def close(self) -> None:
        """Closes all sessions and connections, and ends the thread."""
        self._loop.call(self._client.close)
        self._loop.stop()


def connect(*routers: Any, **options: Any) -> Client:
    """A client of a subnet, with the arguments of `cabstand.connect`."""
    return Client(_connect(*routers, **options))
