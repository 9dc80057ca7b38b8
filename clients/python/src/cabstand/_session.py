"""Sessions: turns one after another, with the state that the ones before left."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cabstand._core import Core
from cabstand._errors import CabstandError, invalid
from cabstand._generate import generate_input
from cabstand._live_turn import LiveTurn
from cabstand._tensors import Array, needs_declaration, to_tensors
from cabstand._turn import Turn
from cabstand._wire import model_pb2, session_pb2, tensor_pb2

if TYPE_CHECKING:
    from typing_extensions import Self


class Session:
    """A session sends nothing before its first turn. One turn runs at a time. Close it, or use `async with`."""

    def __init__(
        self,
        core: Core,
        declared: Callable[[], Awaitable[Sequence[model_pb2.TensorSpec]]],
        released: Callable[[Session], None],
    ) -> None:
        self._core = core
        self._declared = declared
        self._released = released
        self._turn: Turn | None = None

    @property
    def id(self) -> str:
        """Its name at its hoster; settled once one has opened it."""
        return self._core.standing.session_id

    @property
    def model(self) -> str:
        return self._core.options.model

    @property
    def hoster(self) -> str | None:
        """Address of the hoster that has it, or had it last."""
        node = self._core.standing.node
        return None if node is None else node.address

    @property
    def position(self) -> int:
        """The position of the next record."""
        return self._core.standing.guard.next

    @property
    def last_turn(self) -> Turn | None:
        """The turn that was started last."""
        return self._turn

    def run(
        self,
        inputs: Any = None,
        *,
        prompt: str = "",
        parameters: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """A turn: `async for chunk in session.run(audio)`. It is sent when the first chunk is asked for.

        Args:
            inputs: arrays by name, or one array where the model has one input. Arrays keep their dtype, which has
                to be the model's; lists of numbers become what the model declares.
            prompt: text, for models that take it.
            parameters: of the turn, as the model declares them.
            timeout: seconds for the whole turn; DEADLINE_EXCEEDED after it.
        """
        make = self._input(inputs, prompt, parameters)
        self._turn = Turn(self._core, make, before=self._turn, timeout=timeout)
        return self._turn

    def generate(
        self,
        prompt: str | Sequence[int] | Array | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> Turn:
        """A turn of a language model, with a chunk for each token: `token` is its id, and `text` is what is whole with
        it. `async for chunk in session.generate("A router is", max_tokens=40)`.

        Args:
            prompt: text, or ids of tokens: one at least. This or `messages`.
            messages: a conversation, `[{"role": "user", "content": "…"}]`, which the model's chat template makes a
                prompt of. A model without a template refuses it with INPUT_UNKNOWN.
            tools: with `messages`: functions that the model may call, as its template takes them.
            template: with `messages`: variables of the template.
            timeout: seconds for the whole turn; DEADLINE_EXCEEDED after it.
            parameters: of the turn, by the names that the model has for them: max_tokens, temperature, top_k, top_p,
                seed … What is not given is the model's default.
        """
        text, inputs = generate_input(prompt, messages, tools, template)
        return self.run(inputs, prompt=text, parameters=parameters, timeout=timeout)

    def live(
        self,
        inputs: Any = None,
        *,
        prompt: str = "",
        parameters: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        max_parts_in_flight: int = 64,
        max_bytes_in_flight: int = 4_194_304,
    ) -> LiveTurn:
        """A turn whose input comes in parts while its output goes; see `LiveTurn`. `max_parts_in_flight` and
        `max_bytes_in_flight` bound what was sent and not taken by the hoster before `send` waits."""
        self._turn = LiveTurn(
            self._core,
            self._input(inputs, prompt, parameters),
            self._tensors,
            before=self._turn,
            timeout=timeout,
            most_parts=max_parts_in_flight,
            most_bytes=max_bytes_in_flight,
        )
        return self._turn

    def rest(self, *, timeout: float | None = None) -> Turn:
        """The rest of a turn that runs, in a session that was attached to."""
        if not self._core.standing.pending:
            raise CabstandError("TURN_OUT_OF_ORDER", "no turn was under way when the session was attached to")

        async def nothing() -> None:
            return None

        self._turn = Turn(self._core, nothing, before=self._turn, timeout=timeout)
        return self._turn

    async def command(self, name: str, arguments: object = None) -> Any:
        """Tells a module's session something while its turn runs; answers the result once it was applied. Commands
        are applied in order, each once, and go with the session where it goes on. Raises COMMAND_REJECTED,
        COMMAND_INVALID, COMMAND_UNKNOWN or COMMAND_FAILED. It may be awaited within the loop that reads."""
        awaited = self._core.command(name, arguments)
        if self._turn is not None:
            self._turn.wake()
        return await awaited

    async def close(self) -> None:
        """Ends the session at its hoster. Never raises; waits for `timeouts.close` at most."""
        if self._turn is not None:
            await self._turn._stop()
        await self._core.close()
        self._released(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _input(
        self, inputs: Any, prompt: str, parameters: Mapping[str, Any] | None
    ) -> Callable[[], Awaitable[session_pb2.TurnInput | None]]:
        if not isinstance(prompt, str):
            raise invalid("prompt", prompt, "text")
        try:
            text = "" if parameters is None else json.dumps(dict(parameters), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise invalid("parameters", parameters, f"what JSON can say ({error})", "PARAMETER_INVALID") from error

        async def make() -> session_pb2.TurnInput | None:
            return session_pb2.TurnInput(prompt=prompt, parameters=text, inputs=await self._tensors(inputs))

        return make

    async def _tensors(self, inputs: Any) -> list[tensor_pb2.Tensor]:
        declared = await self._declared() if needs_declaration(inputs) else None
        return to_tensors(inputs, declared)
