"""One session's dealings with hosters: turn by turn, and letting go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cabstand import _commands, _opening
from cabstand._channel import SessionChannel, Silence
from cabstand._commands import Commands
from cabstand._errors import CabstandError
from cabstand._guard import Acker
from cabstand._move import Move
from cabstand._options import SessionOptions
from cabstand._placement import Node, Placement
from cabstand._recovery import Recovery
from cabstand._results import TurnResult, end_error, end_reason, generation_of, is_gone
from cabstand._retry import Budget, RetryConfig
from cabstand._run import Run
from cabstand._standing import Standing
from cabstand._transport import HOSTER, Transport
from cabstand._wire import hoster_pb2, model_pb2, session_pb2

if TYPE_CHECKING:
    from cabstand._live_parts import LiveParts

_ACK_EVERY = 16
"""Acks of a durable session whose hoster does not say how often it wants them."""
Message = hoster_pb2.SessionStreamRequest


class Core:
    def __init__(
        self,
        options: SessionOptions,
        placement: Placement,
        transport: Transport,
        retry: RetryConfig,
        budget: Budget,
    ) -> None:
        self.options = options
        self.placement = placement
        self.transport = transport
        self.retry = retry
        self.budget = budget
        self.standing = Standing(options)
        self.commands = Commands(self._send_command)
        self.move = Move(self)
        self.recovery = Recovery(self)
        self._acker = Acker()
        self._active: Run | None = None
        self._opened_on: SessionChannel | None = None

    @property
    def patient(self) -> bool:
        """Whether silence is as it should be: modules speak when they like."""
        return self.standing.is_module

    def emit(self, event: str, **facts: object) -> None:
        """Tells the application; what its callback raises is the application's."""
        if self.options.on_event is not None:
            self.options.on_event(event, {"session_id": self.standing.session_id, **facts})

    # Turns.

    async def start(
        self,
        turn_input: session_pb2.TurnInput | None,
        live: LiveParts | None,
        paused: Callable[[], bool],
        numbered: Callable[[Run], None],
    ) -> Run:
        """Starts the next turn where the session is, or anywhere if it is nowhere yet. `turn_input` None: the
        rest of a turn of which this process does not have the input. `numbered` is called before anything is
        sent, once for each attempt."""
        standing = self.standing
        match standing.state:
            case "closed":
                raise CabstandError("SESSION_ENDED", "the session is closed")
            case "ended":
                raise CabstandError(
                    "SESSION_ENDED",
                    "a module's session ends with its only turn: open another one for the next",
                )
            case "failed":
                told = standing.error.message if standing.error else ""
                raise CabstandError("SESSION_LOST", f"the session was lost: {told}") from standing.error
        kept = turn_input is not None and self.options.durable and standing.continuation.keeps(turn_input)

        def make() -> Run:
            run = Run(self, turn_input, live, paused)
            self._active = run
            numbered(run)
            return run

        if standing.state == "idle":
            try:
                run = await _opening.anywhere(self, make)
            except CabstandError:
                self._active = None
                raise
        else:
            run = make()
            try:
                await _opening.here(self, run)
            except CabstandError as error:
                self._lose(run, error)
                raise
        run.recovers = self.options.durable
        if not kept:
            run.input = None
        if live is not None and not self.options.durable:
            live.forget()
        self.move.turn_began()
        return run

    def accept(self, records: Sequence[session_pb2.Record], run: Run) -> list[session_pb2.Record]:
        """Those that were not here before. Raises NODE_BAD_REPLY where one cannot be; then none counts."""
        standing = self.standing
        fresh = standing.guard.accept_all(records, run.turn, standing.epoch)
        if not fresh:
            return fresh
        replays = standing.survival == model_pb2.SURVIVAL_REPLAY
        for record in fresh:
            standing.continuation.arrived(record, replays)
            body = record.WhichOneof("body")
            if body == "input" and run.live is not None:
                run.live.applied(record.input.part, record.position)
            if record.HasField("checkpoint"):
                self._offer(record.checkpoint, run)
            if body == "applied":
                self.commands.applied(record.applied.sequence)
            elif body == "result":
                self.commands.ended(record.result)
            elif body == "end_of_turn":
                self._commands_over(f"the turn ended ({end_reason(record.end_of_turn.reason)})")
        self.recovery.record_arrived()
        self.move.record_arrived()
        return fresh

    def notice(self, notice: hoster_pb2.Notice, run: Run) -> None:
        """What is not a record. Notices that only a newer client knows are ignored."""
        standing = self.standing
        match notice.WhichOneof("what"):
            case "opened":
                opened = notice.opened
                standing.survival = opened.survival
                guessed = standing.joins
                standing.joined(opened.position)
                standing.opened_on(opened.digest)
                durable = _ACK_EVERY if self.options.durable else 0
                self._acker.records = opened.ack_records or opened.ack_every or durable
                self._acker.bytes = opened.ack_bytes or float("inf")
                self._opened_on = run.channel
                self.emit("opened", node_id=opened.node_id, version=opened.version, digest=opened.digest)
                if standing.is_module:
                    self.commands.opened(opened.next_command_sequence, guessed)
                else:
                    self.commands.over(lambda name, _: _commands.unknown(self.options.model, name))
            case "queued":
                self.emit("queued", position=notice.queued.position)
            case "progress":
                self.emit("progress", done=notice.progress.done, total=notice.progress.total)
            case "module":
                self.emit("notice", name=notice.module.name, json=notice.module.json)
            case "draining":
                deadline = notice.draining.deadline
                seconds = deadline.seconds + deadline.nanos / 1e9
                self.emit("draining", deadline=seconds)
                if self.options.durable and standing.survival != model_pb2.SURVIVAL_NONE:
                    self.move.begin(seconds)
            case "ack_wanted":
                self._ack(self._acker.wanted())
            case "accepted":
                if run.live is not None and notice.accepted.turn == run.turn:
                    accepted = notice.accepted
                    run.live.accepted(accepted.next_part, accepted.wanted_part)
            case "checkpoint":
                if self.options.durable:
                    self._offer(notice.checkpoint.checkpoint, run)

    def _offer(self, checkpoint: session_pb2.Checkpoint, run: Run) -> None:
        taken = self.standing.continuation.offer(checkpoint, self.standing.guard.next)
        if taken and run.live is not None:
            run.live.checkpoint(checkpoint.position)

    async def regain(self, run: Run, error: CabstandError) -> SessionChannel:
        try:
            return await self.recovery.regain(run, error)
        except CabstandError as final:
            self._lose(run, final)
            raise

    def delivered(self, position: int, size: int) -> None:
        """The application is through with the record at `position`, of so many bytes, and all before it."""
        self._ack(self._acker.delivered(position, size))

    def _ack(self, position: int | None) -> None:
        # A hoster that takes over has its own idea of what came before until its first record.
        if position is None or self.recovery.under_way:
            return
        if self.send(Message(ack=hoster_pb2.Ack(position=position))):
            self._acker.sent(position)

    def send(self, message: Message) -> bool:
        """Tells the hoster that has the session. Answers whether any has."""
        channel = self.standing.channel
        if self.standing.state != "open" or channel is None or channel.over:
            return False
        channel.send(message)
        return True

    def end_turn(self, run: Run, record: session_pb2.Record, chunks: int) -> TurnResult:
        """The end-of-turn record is the reader's. Raises where the turn ended in an error."""
        standing = self.standing
        end = record.end_of_turn
        standing.turn = run.turn + 1
        standing.pending = False
        self._active = None
        if self.options.durable:
            checkpoint = end.checkpoint if end.HasField("checkpoint") else None
            live = run.live is not None
            standing.continuation.ended(run.turn, run.position, run.input, live, checkpoint)
        self._ack(self._acker.turn_ended(record.position))
        if self.move.drop():
            standing.broke()
        result = TurnResult(run.turn, end_reason(end.reason), end.steps, chunks, end.note, generation_of(end))
        error = end_error(end)
        if standing.is_module and standing.state == "open":
            # Its hoster ends a module's session with its turn.
            standing.state = "ended"
        if error is not None and (is_gone(end) or error.error_class == "fatal"):
            self.fail(error)
        self.emit("turn_end", turn=result.turn, reason=result.reason, steps=result.steps, chunks=chunks)
        if error is not None:
            raise error
        return result

    def cancel_turn(self) -> None:
        """Asks the hoster to stop the turn that runs; its end of turn still comes."""
        if self._active is not None:
            self._active.cancelled = True
            self.send(Message(cancel_turn=hoster_pb2.CancelTurn(turn=self._active.turn)))

    def _lose(self, run: Run, error: CabstandError) -> None:
        """A turn cannot go on; neither can its session, unless the turn was merely refused."""
        standing = self.standing
        refusal = error.reason != "SESSION_ENDED" and error.error_class in ("caller", "overload", "auth")
        self._active = None
        if standing.state == "open" and not run.taken and refusal:
            standing.drop_channel(error)
        elif standing.turn == run.turn:
            self.fail(error)

    def turn_failed(self, run: Run, error: CabstandError) -> None:
        """The stream of a turn broke for good."""
        if self._active is run:
            self._lose(run, error)

    def fail(self, error: CabstandError) -> None:
        """The session cannot go on."""
        standing = self.standing
        if standing.state in ("failed", "closed", "ended"):
            return
        self._commands_over("the session is lost", error)
        if standing.state == "open" and standing.node is not None and error.error_class == "node":
            self.placement.settle(standing.node, "failed", error)
        standing.drop_channel(error)
        standing.state = "failed"
        standing.error = error
        self.move.drop()
        self.emit("failed", error=error)

    # Commands of modules.

    async def command(self, name: str, arguments: object) -> Any:
        if self.standing.state in ("closed", "ended", "failed"):
            raise CabstandError("SESSION_ENDED", f"command {name}: the session is {self.standing.state}")
        if self._active is not None and self._active.taken and not self.standing.is_module:
            raise _commands.unknown(self.options.model, name)
        return await self.commands.run(name, arguments)

    def _send_command(self, command: session_pb2.Command) -> bool:
        run = self._active
        # Before a hoster has said that the session is open it cannot know which commands were given.
        if run is None or run.channel is None or run.channel is not self._opened_on or run.channel.over:
            return False
        run.channel.send(Message(command=command))
        return True

    def _commands_over(self, why: str, cause: CabstandError | None = None) -> None:
        def make(name: str, number: int) -> CabstandError:
            error = CabstandError(
                "SESSION_ENDED",
                f"command {name} (number {number}): {why} before its result",
                metadata={"command": name, "number": str(number)},
            )
            error.__cause__ = cause
            return error

        self.commands.over(make)

    # The end.

    async def close(self) -> None:
        """Ends the session at its hoster, if one has it. Never raises; waits for `timeouts.close` at most."""
        standing = self.standing
        before, channel, node = standing.state, standing.channel, standing.node
        if before == "closed":
            return
        standing.state = "closed"
        self._commands_over("the session was closed")
        self.move.drop()
        limit = self.options.timeouts.close
        if before in ("open", "ended") and channel is not None:
            # A hoster finishes what runs before it closes.
            if self._active is not None:
                channel.send(Message(cancel_turn=hoster_pb2.CancelTurn(turn=self._active.turn)))
            if before == "open":
                channel.send(Message(close=hoster_pb2.Close(reason="closed by the caller")))
            await _drain(channel, limit)
        elif before in ("open", "recovering") and node is not None:
            await self.close_at(node)
        if self._active is not None:
            self._active.fail(CabstandError("CANCELLED", "the session was closed"))
        standing.channel = None
        self.emit("closed")

    async def close_at(self, node: Node) -> None:
        """Ends the session at a hoster to which it has no stream. One that does not answer ends it by itself."""
        standing = self.standing
        request = hoster_pb2.CloseSessionRequest(session_id=standing.session_id, epoch=standing.epoch_message())
        with contextlib.suppress(CabstandError):
            await self.transport.unary(
                node.address,
                f"{HOSTER}rpc_close_session",
                request,
                hoster_pb2.CloseSessionResponse,
                self.options.timeouts.close,
            )


async def _drain(channel: SessionChannel, limit: float) -> None:
    """Reads a stream to its end, whatever that is, and lets go of it after `limit` seconds."""
    until = time.monotonic() + limit
    with contextlib.suppress(CabstandError, Silence, asyncio.InvalidStateError):
        while (left := until - time.monotonic()) > 0:
            if await channel.read(left) is None:
                break
    channel.cancel()
