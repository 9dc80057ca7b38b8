"""A subnet that is hurt by the schedule that clients of all languages go through (test/faults)."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.node_process import started

PROGRAM = Path(__file__).parents[3] / "test/faults/subnet.mjs"
_FLOWING = 1.0
"""A stream that gave a record so many seconds ago is one that a fault strikes."""


class HurtSubnet:
    """Routers and hosters behind proxies. Use `await HurtSubnet.start()`; and `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process, described: dict[str, Any]) -> None:
        self._process = process
        self._asked = 0
        self.routers: list[str] = described["routers"]
        self.gateways: list[str] = described["gateways"]
        self.key = Path(described["key"])
        self.assets = Path(described["assets"])

    @classmethod
    async def start(cls, **options: Any) -> HurtSubnet:
        return cls(*await started(PROGRAM, {"readyMs": 240_000, **options}))

    async def strike(self, seed: int, faults: int, board: Board) -> dict[str, Any]:
        """The next fault of the seed's schedule; without `fault` where it would strike nobody, or leave nobody."""
        busy, engineless = board.look()
        return await self._ask(seed=seed, faults=faults, busy=busy, engineless=engineless)

    async def mend(self) -> list[str]:
        """Waits until everything is whole, and tells what did not go as it should."""
        findings: list[str] = (await self._ask(mend=True))["findings"]
        return findings

    async def _ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        self._process.stdin.write(json.dumps({"id": self._asked, **what}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@dataclass
class _Row:
    model: str
    node: str
    last: float
    engineless: str = ""
    """The hoster whose engine was hurt while it had the stream, until a record comes."""


@dataclass
class Board:
    """Streams that are under way, and where."""

    streams: int
    _rows: dict[int, _Row] = field(default_factory=dict)

    def record(self, stream: int, model: str, node: str) -> None:
        self._rows[stream] = _Row(model, node, time.monotonic())

    def over(self, stream: int) -> None:
        self._rows.pop(stream, None)

    def look(self) -> tuple[dict[str, list[str]], list[str]]:
        """Models with streams that flow by hoster; and where engines are awaited, which are spared: a turn whose
        engine dies twice at one position is taken for what kills engines."""
        now = time.monotonic()
        busy: dict[str, list[str]] = {}
        engineless: list[str] = []
        for row in self._rows.values():
            if row.engineless:
                engineless += [row.engineless, row.node]
            if now - row.last < _FLOWING:
                busy.setdefault(row.node, []).append(row.model)
        # A fault that strikes what stands still already shows nothing.
        if sum(len(models) for models in busy.values()) * 4 < self.streams:
            return {}, engineless
        return busy, engineless

    def struck(self, hoster: str, model: str) -> None:
        """An engine there was hurt."""
        for row in self._rows.values():
            if (row.node, row.model) == (hoster, model):
                row.engineless = hoster
