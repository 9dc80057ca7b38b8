"""Finds a stream for a turn whose stream broke: at the hoster that has the session, or elsewhere."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cabstand._channel import SessionChannel, Silence
from cabstand._errors import CabstandError
from cabstand._move import wish_of
from cabstand._opening import attach_message, renewing, send_input, send_turn
from cabstand._placement import Node, Place
from cabstand._retry import commands_wait, decide, gone_at_hoster, is_final, trust_ended
from cabstand._wire import hoster_pb2, model_pb2

if TYPE_CHECKING:
    from cabstand._core import Core
    from cabstand._run import Run

_LASTED = 1.0
"""A stream that was taken up and then lasted so long, in seconds, was whole, record or none."""


@dataclass
class _Break:
    """From when a stream broke until a record shows that it goes on."""

    cause: CabstandError
    last: CabstandError
    """What stood in the way last."""
    home: Node
    position: int
    since: float
    in_row: int = 0
    """Streams that took up the session and broke without a record."""
    attempts: int = 0
    """Hosters tried."""
    engine_deaths: int = 0
    taken_up: float | None = None


class Recovery:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._break: _Break | None = None

    @property
    def under_way(self) -> bool:
        """Whether a stream broke and no record has come since."""
        return self._break is not None

    def record_arrived(self) -> None:
        """A record is here: what was broken is whole again."""
        broken, self._break = self._break, None
        if broken is not None:
            node = self._core.standing.node
            self._core.emit(
                "recovered",
                cause=broken.cause,
                position=broken.position,
                node=node and node.address,
                gap=time.monotonic() - broken.since,
                attempts=broken.attempts,
            )

    async def regain(self, run: Run, error: CabstandError) -> SessionChannel:
        """A stream that goes on at the next position. Raises the error where it is not for a resume to mend, and
        what stood in the way last when `timeouts.recover` is over."""
        core, standing = self._core, self._core.standing
        decision = decide(error, "streaming", resumable=core.options.durable)
        home = standing.node
        if decision.action != "resume" or standing.state not in ("open", "recovering") or home is None:
            core.move.drop()
            raise error
        successor = core.move.take()
        broken = self._begin(error, home)
        standing.broke()
        broken.last = error
        left = core.options.timeouts.recover - (time.monotonic() - broken.since)
        try:
            return await asyncio.wait_for(self._go_on(run, broken, successor, decision.reattach), max(0.0, left))
        except asyncio.TimeoutError:
            # Out of time: what was in the way says more than that.
            raise broken.last from None

    def _begin(self, cause: CabstandError, home: Node) -> _Break:
        core = self._core
        position = core.standing.guard.next
        known = self._break
        # Credentials end now and then while a turn waits for input of its caller.
        lasted = known is not None and known.taken_up is not None and time.monotonic() - known.taken_up >= _LASTED
        if lasted and trust_ended(cause):
            self.record_arrived()
            known = None
        if known is None:
            known = self._break = _Break(cause, cause, home, position, time.monotonic())
            core.emit("recovering", cause=cause, position=position, node=home.address)
        else:
            known.in_row += 1
        if cause.reason in ("ENGINE_CRASHED", "ENGINE_STALLED"):
            known.engine_deaths += 1
            # A third would die, too.
            if known.engine_deaths >= 2:
                raise CabstandError(
                    "TURN_POISONED",
                    f"two engines died at position {position}: {cause.message}",
                    metadata={"position": str(position)},
                ) from cause
        return known

    async def _go_on(self, run: Run, broken: _Break, successor: Place | None, attach_first: bool) -> SessionChannel:
        core, standing = self._core, self._core.standing
        home = standing.node
        assert home is not None
        if successor is not None:
            moved = await self._resume_at(run, broken, successor)
            if moved is not None:
                return moved
        attaches, blamed, vacant = attach_first, False, False
        alone = broken.in_row == 0 or commands_wait(broken.last)
        cycle = 0
        while True:
            await self._pause(cycle + broken.in_row, broken.last)
            # Side by side: whichever way it goes, the next step needs no more waiting.
            finding = asyncio.create_task(self._places(home), name="cabstand-places")
            try:
                if attaches and alone:
                    attached = await self._reattach(run, broken, home)
                    if isinstance(attached, SessionChannel):
                        return attached
                    vacant = gone_at_hoster(attached)
                    attaches = not vacant
                    if not vacant:
                        broken.last = attached
                if not blamed and broken.cause.error_class == "node":
                    core.placement.settle(home, "failed", broken.cause)
                blamed = True
                if standing.survival == model_pb2.SURVIVAL_NONE:
                    raise CabstandError(
                        "SESSION_LOST",
                        "the session's hoster or engine is lost, and its model keeps nothing of a session "
                        f"(survival: none): {broken.cause.message}",
                        metadata={"problem": "no_survival"},
                    ) from broken.last
                places = await finding
            finally:
                finding.cancel()
            if isinstance(places, CabstandError):
                if is_final(places):
                    raise places
                # That there is no other hoster says less than why this one is lost.
                if places.reason != "NO_NODE":
                    broken.last = places
                # Home is back with other weights, and nobody has those that the session began with.
                elif places.metadata.get("cause") == "digest" and broken.last.reason == "SESSION_LOST":
                    raise broken.last
                places = []
            alone = all(place.node.key == home.key for place in places)
            if vacant and alone:
                places = [Place(home), *places]
            for place in places:
                if core.placement.health.is_broken(place.node) and not (vacant and place.node is home):
                    continue
                resumed = await self._resume_at(run, broken, place)
                if resumed is not None:
                    return resumed
            cycle += 1

    async def _pause(self, failures: int, last: CabstandError) -> None:
        """Waits before all but the first attempt to make a break good, and before that where the hoster is well and
        wants it. Never gives up for want of budget."""
        if failures == 0 and not commands_wait(last):
            return
        retry = self._core.retry
        # Without budget the pace is that of everybody else whose hosters are gone: slow.
        if self._core.budget.take():
            pause = retry.pause(max(0, failures - 1))
        else:
            pause = retry.max_interval * (0.5 + random.random() / 2)
        asked = last.retry_after if last.error_class == "overload" else None
        await asyncio.sleep(max(0.001, pause, asked or 0.0))

    async def _places(self, home: Node) -> list[Place] | CabstandError:
        try:
            first = await self._core.placement.acquire(wish_of(self._core, home))
        except CabstandError as error:
            return error
        return [first, *(Place(node) for node in first.alternatives)]

    async def _reattach(self, run: Run, broken: _Break, home: Node) -> SessionChannel | CabstandError:
        """Takes the session up where it was, or where routers say that it is. Raises what another hoster would
        say, too; otherwise answers the error of the one that had it last."""
        core, standing = self._core, self._core.standing
        attached = await self._attach_at(run, broken, home)
        # Only another process can have left it anywhere else.
        if isinstance(attached, SessionChannel) or not standing.claims:
            return attached
        try:
            nodes = await core.placement.locate(standing.session_id)
        except CabstandError:
            return attached
        for node in nodes:
            if node.key != home.key:
                found = await self._attach_at(run, broken, node)
                if isinstance(found, SessionChannel):
                    return found
        return attached

    async def _attach_at(self, run: Run, broken: _Break, node: Node) -> SessionChannel | CabstandError:
        while True:
            try:
                return await renewing(self._core, node, lambda: self._attach(run, broken, node))
            except CabstandError as error:
                if self._core.standing.claims_after(error):
                    continue
                if not gone_at_hoster(error) and is_final(error):
                    raise
                return error

    async def _attach(self, run: Run, broken: _Break, node: Node) -> SessionChannel:
        core, standing = self._core, self._core.standing
        # Another hoster may have taken it up and was not heard: what it has must not look like the newest.
        resumed = broken.attempts > 0
        if resumed:
            standing.raise_epoch()
        channel = await core.transport.session(node.address, attach_message(core))
        # It may not have come to the turn; neither may a resume that was given up, and that arrived.
        if not run.taken or resumed:
            send_input(channel, run)
        # Nobody else can go on with a turn of which the input is not here: it is worth waiting for.
        timeouts = core.options.timeouts
        await established(channel, timeouts.reattach if run.input is not None else timeouts.first)
        core.placement.settle(node, "served")
        self._taken_up(run, broken, node, channel)
        if run.live is not None:
            run.live.attach(channel, resumed)
        return channel

    async def _resume_at(self, run: Run, broken: _Break, place: Place) -> SessionChannel | None:
        """Activates a successor; None where it failed or refused. Raises what another one would say, too."""
        core, standing, node = self._core, self._core.standing, place.node
        try:
            return await renewing(core, node, lambda: self._resume(run, broken, place))
        except CabstandError as error:
            if standing.claims_after(error):
                return None
            broken.last = error
            core.emit("retry", error=error, attempt=broken.attempts, wait=0.0, node=node.address)
            if is_final(error):
                raise
            if error.error_class == "node":
                core.placement.settle(node, "failed", error, place.lease)
            else:
                core.placement.settle(node, "refused", error)
            return None

    async def _resume(self, run: Run, broken: _Break, place: Place) -> SessionChannel:
        core, standing, options = self._core, self._core.standing, self._core.options
        replayable = run.live is None or run.live.replayable
        resume = standing.continuation.resume(run.turn, run.input, replayable, standing.guard.next - 1)
        resume.served_epoch = standing.served_epoch
        broken.attempts += 1
        standing.raise_epoch()
        first = hoster_pb2.Open(
            session_id=standing.session_id,
            epoch=standing.epoch_message(),
            durable=True,
            model=options.model,
            priority=options.priority,
            ticket=place.ticket,
            resume=resume,
            resumes=True,
        )
        channel = await core.transport.session(place.node.address, hoster_pb2.SessionStreamRequest(open=first))
        send_turn(channel, run)
        await established(channel, options.timeouts.first)
        core.placement.settle(place.node, "served")
        self._taken_up(run, broken, place.node, channel)
        return channel

    def _taken_up(self, run: Run, broken: _Break, node: Node, channel: SessionChannel) -> None:
        """`node` took up the session. From here on whoever has a higher epoch came later."""
        standing = self._core.standing
        broken.taken_up = time.monotonic()
        standing.opened(node, channel)
        standing.claims = False
        if run.cancelled:
            channel.send(hoster_pb2.SessionStreamRequest(cancel_turn=hoster_pb2.CancelTurn(turn=run.turn)))


async def established(channel: SessionChannel, seconds: float) -> None:
    """Waits for the first word of a stream, which stays to be read; lets go of the stream without it."""
    try:
        await channel.ready(seconds)
    except Silence:
        error = CabstandError("NODE_STALLED", f"no answer within {round(seconds * 1000)} ms")
        channel.cancel(error)
        raise error from None
    except BaseException:
        channel.cancel()
        raise
