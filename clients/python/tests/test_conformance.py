"""The cases that clients of all languages are held to, over real gRPC: docs/conformance.md."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cabstand

SERVER = [os.environ.get("NODE", "node"), str(Path(__file__).parents[3] / "libs/testing/dist/conformance/main.js")]
Report = dict[str, Any]


def case_names() -> list[str]:
    """Of all cases: none is left out. Needs built services (npm run build)."""
    listed = subprocess.run([*SERVER, "list"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.partition(":")[0] for line in listed.splitlines()]


@asynccontextmanager
async def served(name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *SERVER, "serve", name, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def judged(process: asyncio.subprocess.Process, reports: list[Report]) -> list[str]:
    """What was wrong."""
    told, _ = await process.communicate("".join(f"{json.dumps(report)}\n" for report in reports).encode())
    problems: list[str] = json.loads(told)["problems"]
    assert process.returncode == (1 if problems else 0)
    return problems


async def perform(told: dict[str, Any]) -> list[Report]:
    """Does what a case says, and tells what came of it."""
    deeds, reports = told["do"], []
    silence = deeds.get("stallMs")
    timeouts = cabstand.Timeouts() if silence is None else cabstand.Timeouts(stall=silence / 1000, first=silence / 1000)
    async with (
        cabstand.connect(told["router"], timeouts=timeouts) as client,
        client.session(told["model"], durable=deeds.get("durable", True)) as session,
    ):
        for number, deed in enumerate(deeds["turns"]):
            async for report in run(session, deed):
                reports.append({"turn": number, **report})
    return reports


async def run(session: cabstand.Session, deed: dict[str, Any]) -> AsyncIterator[Report]:
    speaking: asyncio.Task[None] | None = None
    turn: cabstand.Turn
    try:
        if "live" in deed:
            turn = live = session.live()
            speaking = asyncio.create_task(speak(live, deed["live"]))
        else:
            turn = session.run(prompt=deed["prompt"])
        async for chunk in turn:
            values = chunk["x"].tolist() if "x" in chunk else []
            yield {"position": chunk.position, "text": chunk.text, "values": values}
        if speaking is not None:
            await speaking
        assert turn.result is not None
        yield {"end": turn.result.reason}
    except cabstand.CabstandError as error:
        if speaking is not None:
            await asyncio.gather(speaking, return_exceptions=True)
        yield {"error": error.reason}


async def speak(live: cabstand.LiveTurn, values: list[float]) -> None:
    for value in values:
        await live.send({"x": np.array([value], np.float32)})
    await live.end()


@pytest.mark.parametrize("name", case_names())
async def test_case(name: str) -> None:
    async with served(name) as process:
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        reports = await asyncio.wait_for(perform(told), 120)
        assert await judged(process, reports) == [], reports


async def test_a_client_that_does_something_else_fails() -> None:
    async with served("plain-turns") as process:
        assert process.stdout is not None
        await process.stdout.readline()
        problems = await judged(process, [{"turn": 0, "position": 0, "text": "b"}, {"turn": 0, "error": "INTERNAL"}])
    assert 'turn 0: texts: got ["b"], expected ["a","b"]' in problems
