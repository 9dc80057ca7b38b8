"""How a turn that opens its session, or another one on it, gets its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cabstand._channel import SessionChannel
from cabstand._errors import CabstandError
from cabstand._placement import Node, Place, Wish
from cabstand._retry import Decision, Phase, decide
from cabstand._run import Run
from cabstand._wire import hoster_pb2

if TYPE_CHECKING:
    from cabstand._core import Core

T = TypeVar("T")
Message = hoster_pb2.SessionStreamRequest


class Retrier:
    """Decides, draws on the budget, pauses. Raises the error where it is final; or `told`, which explains more."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._attempts = 0

    async def after(
        self,
        error: CabstandError,
        phase: Phase,
        node: Node | None,
        *,
        at_once: bool = False,
        resumable: bool = False,
        told: CabstandError | None = None,
    ) -> Decision:
        core = self._core
        self._attempts += 1
        decision = decide(error, phase, attempts=self._attempts, most=core.retry.attempts, resumable=resumable)
        if decision.action in ("raise", "resume") or not core.budget.take():
            raise told or error
        # An untried hoster is at hand: its neighbour's trouble is no reason to wait.
        pause = core.retry.pause(self._attempts - 1)
        wait = 0.0 if at_once else max(pause, error.retry_after or 0.0)
        core.emit("retry", error=error, attempt=self._attempts, wait=wait, node=node and node.address)
        if wait > 0:
            await asyncio.sleep(wait)
        return decision


async def anywhere(core: Core, make: Callable[[], Run]) -> Run:
    """Opens the session on any hoster, on another one where that fails in a way that another may not. Resolves
    once the first record is here. Raises the last hoster's error, or why none was found."""
    last: list[CabstandError] = []
    try:
        return await asyncio.wait_for(_search(core, make, last), core.options.timeouts.place)
    except asyncio.TimeoutError:
        # Out of time: what was in the way says more than that.
        raise (last[-1] if last else CabstandError("DEADLINE_EXCEEDED", "no hoster was found in time")) from None


async def _search(core: Core, make: Callable[[], Run], last: list[CabstandError]) -> Run:
    options = core.options
    wish = Wish(
        options.model,
        digest=options.digest,
        session_id=options.id if options.durable else "",
        allow=options.allow,
        block=options.block,
    )
    retrier = Retrier(core)
    candidates: list[Place] = []
    while True:
        if not candidates:
            try:
                found = await core.placement.acquire(wish)
            except CabstandError as error:
                # What a hoster said explains more than that there is no other one.
                told = last[-1] if error.reason == "NO_NODE" and last else error
                # A hoster that ended the session before its first record, to go, leaves nothing to go on from.
                cause = error if told.error_class == "session" else told
                await retrier.after(cause, "placing", None, told=told)
                continue
            candidates = [found, *(Place(node) for node in found.alternatives)]
        place = candidates.pop(0)
        try:
            run = await renewing(core, place.node, partial(_attempt, core, place, make))
        except CabstandError as error:
            last.append(error)
            if error.error_class == "node":
                core.placement.settle(place.node, "failed", error, place.lease)
            elif error.error_class in ("overload", "session") or error.reason == "MODEL_UNKNOWN":
                core.placement.settle(place.node, "refused", error)
            await retrier.after(error, "opening", place.node, at_once=bool(candidates))
            continue
        core.placement.settle(place.node, "served")
        core.budget.succeeded()
        return run


async def _attempt(core: Core, place: Place, make: Callable[[], Run]) -> Run:
    standing, options = core.standing, core.options
    run = make()
    # A name of its own for each attempt: the one before may still be open where it failed.
    number, standing.attempts = standing.attempts, standing.attempts + 1
    standing.session_id = options.id if options.named or number == 0 else f"{options.id}.{number}"
    standing.digest = ""
    standing.continuation.opened_anew()
    if run.live is not None and not run.live.replayable:
        raise CabstandError("SESSION_LOST", "input that was sent is not here any more, and cannot be sent again")
    first = hoster_pb2.Open(
        session_id=standing.session_id,
        epoch=standing.epoch_message(),
        durable=options.durable,
        model=options.model,
        ticket=place.ticket,
        priority=options.priority,
        resumes=options.durable,
    )
    channel = await core.transport.session(place.node.address, Message(open=first))
    try:
        run.use(channel, place.node)
        send_turn(channel, run)
        await run.begin()
    except BaseException as thrown:
        error = thrown if isinstance(thrown, CabstandError) else None
        channel.cancel(error)
        # A turn was refused, not its session: one that is durable would wait there for its consumer.
        if run.opened and options.durable and error is not None and error.error_class != "node":
            await core.close_at(place.node)
        raise
    standing.opened(place.node, channel)
    return run


async def here(core: Core, run: Run) -> None:
    """Sends a later turn to the hoster that has the session. Resolves once its first record is here: from another
    hoster where that one is gone and the session is durable."""
    standing = core.standing
    error = CabstandError("NODE_UNREACHABLE", "this process has no stream of the session")
    durable = core.options.durable
    retrier = Retrier(core)
    while standing.state == "open" and standing.node is not None:
        try:
            await renewing(core, standing.node, lambda: _again(core, run))
            core.budget.succeeded()
            return
        except CabstandError as thrown:
            standing.drop_channel(thrown)
            if decide(thrown, "again", most=1, resumable=durable).action == "resume":
                error = thrown
                break
            await retrier.after(thrown, "again", standing.node, resumable=durable)
    run.fail(error)
    run.use(await core.recovery.regain(run, error))
    run.recovers = durable
    while True:
        try:
            await run.begin()
            return
        except CabstandError as thrown:
            run.fail(thrown)
            run.use(await core.recovery.regain(run, thrown))


async def _again(core: Core, run: Run) -> None:
    standing = core.standing
    assert standing.node is not None
    channel = standing.channel
    if channel is None or channel.over:
        channel = await core.transport.session(standing.node.address, attach_message(core))
        standing.channel = channel
        standing.served_epoch = standing.epoch
    run.use(channel, standing.node)
    send_turn(channel, run)
    await run.begin()


def attach_message(core: Core) -> Message:
    standing = core.standing
    return Message(
        attach=hoster_pb2.Attach(
            session_id=standing.session_id,
            epoch=standing.epoch_message(),
            from_position=-1 if standing.joins else standing.guard.next,
            served_epoch=standing.served_epoch,
            resumes=core.options.durable,
        )
    )


def send_turn(channel: SessionChannel, run: Run) -> None:
    """A hoster that is to compute a turn from where it stands gets the turn and its live input."""
    send_input(channel, run)
    if run.live is not None:
        run.live.attach(channel, True)


def send_input(channel: SessionChannel, run: Run) -> None:
    """The turn without its live input."""
    if run.input is not None:
        live = run.live is not None
        channel.send(Message(turn=hoster_pb2.Turn(turn=run.turn, input=run.input, live=live)))


async def renewing(core: Core, node: Node, attempt: Callable[[], Awaitable[T]]) -> T:
    """Once more with other credentials, where they are refused."""
    try:
        return await attempt()
    except CabstandError as error:
        if not await core.transport.renew(error, node.address):
            raise
    return await attempt()
