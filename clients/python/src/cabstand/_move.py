"""Takes a session off a hoster that wants to go, while it still streams."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from cabstand._errors import CabstandError
from cabstand._placement import Node, Place, Wish
from cabstand._wire import hoster_pb2

if TYPE_CHECKING:
    from cabstand._core import Core

_LONGEST_WAIT = 0.05
"""How long a handover waits for a record. Directly behind one the time that it takes is time in which a stream
that follows its input would have had no record either."""
_DEFAULT_DEADLINE = 30.0


class Move:
    """A place and a connection elsewhere first, then the handover. The old hoster stops at a step boundary and
    ends its stream with the state; the successor goes on from there, so nothing is computed twice."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._asked: tuple[Node, float] | None = None
        self._task: asyncio.Task[None] | None = None
        self._successor: Place | None = None
        self._record = asyncio.Event()

    def begin(self, deadline: float) -> None:
        """The hoster of the turn that runs wants to go."""
        node = self._core.standing.node
        if node is not None:
            self._asked = node, time.monotonic() + (deadline or _DEFAULT_DEADLINE)
            self._start()

    def turn_began(self) -> None:
        """A turn has begun: one before may have been too short to move it."""
        node = self._core.standing.node
        if self._asked is not None and node is not None and node.key == self._asked[0].key:
            self._start()
        else:
            self._asked = None

    def record_arrived(self) -> None:
        self._record.set()

    def take(self) -> Place | None:
        """The successor, once the old hoster's stream is over; None where it was not handed over."""
        self._stop()
        successor, self._successor = self._successor, None
        return successor

    def drop(self) -> bool:
        """Lets a successor go that nobody follows. Answers whether there was one."""
        return self.take() is not None

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _start(self) -> None:
        if self._task is None and self._asked is not None and self._successor is None:
            self._task = asyncio.create_task(self._run(*self._asked), name="cabstand-move")

    async def _run(self, home: Node, until: float) -> None:
        core = self._core
        try:

            async def hand_over() -> None:
                place = await self._place(home)
                await core.transport.connected(place.node.address, core.options.timeouts.first)
                self._record.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._record.wait(), _LONGEST_WAIT)
                if core.send(hoster_pb2.SessionStreamRequest(handover=hoster_pb2.Handover())):
                    self._successor = place

            await asyncio.wait_for(hand_over(), until - time.monotonic())
        except (CabstandError, asyncio.TimeoutError):
            pass  # It stays where it is, and is resumed when its hoster goes.
        finally:
            self._task = None

    async def _place(self, home: Node) -> Place:
        """A place elsewhere; waits for one as long as the old hoster does."""
        core = self._core
        attempt = 0
        while True:
            try:
                found = await core.placement.acquire(wish_of(core, home))
                for place in (found, *(Place(node) for node in found.alternatives)):
                    if place.node.key != home.key and not core.placement.health.is_broken(place.node):
                        return place
            except CabstandError:
                pass
            await asyncio.sleep(max(0.01, core.retry.pause(attempt)))
            attempt += 1


def wish_of(core: Core, home: Node) -> Wish:
    """A place for a session that leaves `home`. State is of no use to other weights."""
    options, standing = core.options, core.standing
    return Wish(
        options.model,
        digest=options.digest or standing.digest,
        session_id=standing.session_id,
        allow=options.allow,
        block=options.block,
        resume=True,
        avoid=(home,),
    )
