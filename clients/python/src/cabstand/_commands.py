"""The commands of a session on their way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cabstand._errors import CabstandError, from_detail, invalid
from cabstand._wire import session_pb2

MOST_WAITING = 64
"""Most commands without a result."""
MOST_BYTES = 65_536
"""Bytes of the JSON of one command's arguments."""


@dataclass
class _Waiting:
    number: int
    name: str
    arguments: str
    result: asyncio.Future[Any] | None
    """None where nobody waits any more."""
    told: bool = False
    """A hoster was told, and has not been lost since."""
    applied: bool = False
    """Its record has come: it will not be lost any more."""


class Commands:
    """Numbered from 0, kept until the record has come that tells that they took effect, and told to each hoster
    that takes the session up and lacks them.

    Who takes a session over does not know which numbers the process before has used: until a hoster says which one
    is next, those of its own commands are guesses, and nobody is told."""

    def __init__(self, send: Callable[[session_pb2.Command], bool]) -> None:
        self._send = send
        self._next = 0
        self._waiting: dict[int, _Waiting] = {}

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a result."""
        return any(one.result is not None for one in self._waiting.values())

    async def run(self, name: str, arguments: object) -> Any:
        text = _json(name, arguments)
        if len(self._waiting) >= MOST_WAITING:
            raise invalid(
                "command",
                f"{len(self._waiting)} commands without a result",
                f"at most {MOST_WAITING}: await the results of earlier ones, and read the chunks of the turn",
                "LIMIT_EXCEEDED",
            )
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        command = _Waiting(self._next, name, text, result)
        self._next += 1
        self._waiting[command.number] = command
        self.tell()
        try:
            return await result
        finally:
            command.result = None
            if command.applied:
                self._waiting.pop(command.number, None)

    def opened(self, expected: int, guessed: bool) -> None:
        """The session is open at a hoster, which expects the command with that number. It has those below, be they
        of this process or of one before, and is told the others, which follow without a gap. `guessed`: this process
        took the session over, and no hoster was told of what waits here."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        free = expected
        for command in waiting:
            command.told = command.applied or (command.number < expected and not guessed)
            if command.told:
                # A hoster that has forgotten it is told of no other one under its number.
                free = max(free, command.number + 1)
            else:
                command.number = free
                free += 1
            self._waiting[command.number] = command
        self._next = free
        self.tell()

    def tell(self) -> None:
        for command in self._waiting.values():
            if not command.told:
                command.told = self._send(
                    session_pb2.Command(sequence=command.number, name=command.name, arguments=command.arguments)
                )

    def applied(self, number: int) -> None:
        """The record of a command has come. One of another process counts here, too."""
        self._next = max(self._next, number + 1)
        command = self._waiting.get(number)
        if command is not None:
            command.told = command.applied = True
            if command.result is None:
                del self._waiting[number]

    def ended(self, result: session_pb2.CommandResult) -> None:
        """The result of a command has come."""
        self.applied(result.sequence)
        command = self._waiting.pop(result.sequence, None)
        if command is None or command.result is None or command.result.done():
            return
        if result.WhichOneof("outcome") == "error":
            command.result.set_exception(from_detail(result.error))
            return
        try:
            command.result.set_result(json.loads(result.value) if result.value else None)
        except ValueError:
            command.result.set_exception(CabstandError("NODE_BAD_REPLY", "the result is no JSON"))

    def over(self, make: Callable[[str, int], CabstandError]) -> None:
        """No result will come any more; `make` is given name and number."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for command in waiting:
            if command.result is not None and not command.result.done():
                command.result.set_exception(make(command.name, command.number))


def unknown(model: str, name: str) -> CabstandError:
    """Only modules know commands."""
    return CabstandError(
        "COMMAND_UNKNOWN",
        f"model {model} knows no command {name!r}: only modules do",
        metadata={"command": name},
    )


def _json(name: str, arguments: object) -> str:
    if not isinstance(name, str) or not name:
        raise invalid("command.name", name, "a name that the model declares", "COMMAND_INVALID")
    if arguments is None:
        return ""
    try:
        text = json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid(f"{name}.arguments", arguments, f"what JSON can say ({error})", "COMMAND_INVALID") from error
    if len(text.encode()) > MOST_BYTES:
        raise invalid(f"{name}.arguments", f"{len(text)} characters", f"at most {MOST_BYTES} bytes", "COMMAND_INVALID")
    return text
