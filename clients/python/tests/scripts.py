"""Whole sessions: the same input gives the same records, so that two runs can be compared."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import cabstand
from tests.subnet import FRAME, speech

KINDS = ("vad", "vad-live", "accumulator", "accumulator-live", "g2p", "counter")
MODELS = ["silero-vad", "accumulator", "g2p", "counter-generator"]
WORDS = ("tokenizer", "cabstand", "hello", "stream", "audio", "position", "checkpoint", "weather")


@dataclass(frozen=True)
class TurnScript:
    prompt: str = ""
    inputs: dict[str, Any] | None = None
    parts: tuple[dict[str, Any], ...] | None = None
    """Set for a live turn: sent while its records are read."""


@dataclass(frozen=True)
class Script:
    name: str
    model: str
    turns: tuple[TurnScript, ...]


def make_script(kind: str, number: int, assets: Path) -> Script:
    draw = random.Random(f"{kind} {number}")
    audio = speech(assets, 400)

    def heard(length: int) -> dict[str, Any]:
        first = draw.randrange(len(audio) - length)
        return {"audio": audio[first : first + length]}

    def signal(length: int) -> dict[str, Any]:
        values = [draw.uniform(-100, 100) for _ in range(length)]
        return {"signal": np.array(values, dtype=np.float32)}

    turns: list[TurnScript]
    match kind:
        # Lengths that are no multiple of a frame: what is left over belongs to the state.
        case "vad":
            turns = [TurnScript(inputs=heard(draw.randint(20 * FRAME, 120 * FRAME))) for _ in range(draw.randint(2, 4))]
            return Script(f"vad-{number}", "silero-vad", tuple(turns))
        case "vad-live":
            turns = [
                TurnScript(parts=tuple(heard(draw.randint(200, 2 * FRAME)) for _ in range(draw.randint(20, 60))))
                for _ in range(draw.randint(1, 3))
            ]
            return Script(f"vad-live-{number}", "silero-vad", tuple(turns))
        case "accumulator":
            turns = [TurnScript(inputs=signal(draw.randint(50, 400))) for _ in range(draw.randint(2, 4))]
            return Script(f"accumulator-{number}", "accumulator", tuple(turns))
        case "accumulator-live":
            turns = [
                TurnScript(parts=tuple(signal(draw.randint(1, 11)) for _ in range(draw.randint(20, 60))))
                for _ in range(draw.randint(1, 3))
            ]
            return Script(f"accumulator-live-{number}", "accumulator", tuple(turns))
        case "g2p":
            turns = [TurnScript(prompt=draw.choice(WORDS)) for _ in range(draw.randint(3, 8))]
            return Script(f"g2p-{number}", "g2p", tuple(turns))
        case "counter":
            turns = [TurnScript(prompt=str(draw.randint(0, 6))) for _ in range(draw.randint(3, 8))]
            return Script(f"counter-{number}", "counter-generator", tuple(turns))
    raise AssertionError(kind)


@dataclass
class Observed:
    """What came of a script: for each turn its chunks, as bytes and text, and how it ended."""

    turns: list[tuple[list[tuple[Any, ...]], str]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    error: cabstand.CabstandError | None = None


async def play(
    script: Script,
    session: cabstand.Session,
    *,
    pause: Callable[[], Awaitable[None]] | None = None,
    at_chunk: Callable[[], Awaitable[None]] | None = None,
) -> Observed:
    """Runs a script in a session. `pause` is awaited before each part and chunk, `at_chunk` after each chunk."""
    seen = Observed()
    for turn_script in script.turns:
        chunks: list[tuple[Any, ...]] = []
        speaking: asyncio.Task[None] | None = None
        try:
            if turn_script.parts is None:
                turn = session.run(turn_script.inputs, prompt=turn_script.prompt)
            else:
                live = turn = session.live()
                speaking = asyncio.create_task(_speak(live, turn_script.parts, pause))
            async for chunk in turn:
                arrays = tuple((name, array.shape, array.tobytes()) for name, array in chunk.items())
                chunks.append((chunk.index, chunk.text, arrays))
                seen.positions.append(chunk.position)
                if at_chunk is not None:
                    await at_chunk()
                if pause is not None:
                    await pause()
            if speaking is not None:
                await speaking
        except cabstand.CabstandError as error:
            seen.error = error
            if speaking is not None:
                await asyncio.gather(speaking, return_exceptions=True)
            seen.turns.append((chunks, error.reason))
            break
        seen.turns.append((chunks, turn.result.reason if turn.result else "?"))
    return seen


async def _speak(
    live: cabstand.LiveTurn, parts: tuple[dict[str, Any], ...], pause: Callable[[], Awaitable[None]] | None
) -> None:
    for part in parts:
        await live.send(part)
        if pause is not None:
            await pause()
    await live.end()


@dataclass
class Verdict:
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    unfinished: int = 0
    chunks: int = 0

    @property
    def good(self) -> bool:
        return self.lost == self.twice == self.wrong == self.unfinished == 0

    def add(self, other: Verdict) -> None:
        for name in ("lost", "twice", "wrong", "unfinished", "chunks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def compare(seen: Observed, wanted: Observed) -> Verdict:
    """What of a disturbed run is not as in the undisturbed one."""
    verdict = Verdict()
    steps = list(zip(seen.positions, seen.positions[1:], strict=False))
    verdict.twice += sum(later <= earlier for earlier, later in steps)
    if seen.error is not None or len(seen.turns) < len(wanted.turns):
        verdict.unfinished += 1
    for (chunks, reason), (right, right_reason) in zip(seen.turns, wanted.turns, strict=False):
        verdict.chunks += len(chunks)
        verdict.lost += max(0, len(right) - len(chunks))
        verdict.twice += max(0, len(chunks) - len(right))
        verdict.wrong += sum(one != other for one, other in zip(chunks, right, strict=False))
        verdict.wrong += reason != right_reason
    return verdict
