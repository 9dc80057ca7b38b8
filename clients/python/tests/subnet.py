"""A subnet of real routers and hosters, started by subnet.mjs, whose processes tests may hurt."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tests.node_process import started

HERE = Path(__file__).parent
FRAME = 512
# Hosters of a machine that does other things, too, are slow to answer.
PATIENT = {"probes": {"timeout_seconds": 10, "max_interval_seconds": 2}}
Group = Literal["router", "hoster"]


@dataclass
class Server:
    address: str
    pid: int


class Subnet:
    """Use `await Subnet.start()`; and `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process, described: dict[str, Any]) -> None:
        self._process = process
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.routers = [Server(**one) for one in described["routers"]]
        self.hosters = [Server(**one) for one in described["hosters"]]
        self.keys = Path(described["keys"])
        self.assets = Path(described["assets"])
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, **options: Any) -> Subnet:
        wanted = {"routers": 2, "hosters": 2, "readyMs": 240_000, "routerConfig": PATIENT, **options}
        process, first = await started(HERE / "subnet.mjs", wanted)
        return cls(process, first["value"])

    @property
    def router_addresses(self) -> list[str]:
        return [one.address for one in self.routers]

    @property
    def key(self) -> Path:
        return self.keys / "client.key.json"

    def server(self, group: Group, index: int) -> Server:
        return (self.routers if group == "router" else self.hosters)[index]

    def hoster_of(self, address: str | None) -> int:
        return [one.address for one in self.hosters].index(address or "")

    async def token(self, subject: str = "client") -> str:
        return str(await self.ask("token", subject=subject))

    async def end(self, group: Group, index: int, how: Literal["SIGKILL", "SIGTERM"] = "SIGKILL") -> None:
        """Ends a process and waits until it has gone."""
        await self.ask("signal", group=group, index=index, signal=how)

    def pause(self, group: Group, index: int) -> None:
        os.kill(self.server(group, index).pid, signal.SIGSTOP)

    def go_on(self, group: Group, index: int) -> None:
        os.kill(self.server(group, index).pid, signal.SIGCONT)

    async def again(self, group: Group, index: int) -> None:
        """Starts a process that has gone at the same address; resolves once it is ready."""
        self.server(group, index).pid = await self.ask("start", group=group, index=index)

    async def ask(self, action: str, **what: Any) -> Any:
        self._asked += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._asked] = answer
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._asked, "action": action, **what}).encode() + b"\n")
        return await answer

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            answer = self._waiting.pop(told["id"])
            if "error" in told:
                answer.set_exception(RuntimeError(told["error"]))
            else:
                answer.set_result(told.get("value"))

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        self._reader.cancel()


def speech(assets: Path, frames: int) -> npt.NDArray[np.int16]:
    """So many frames of a recording, repeated where it is shorter."""
    with wave.open(str(assets / "speech.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return np.resize(samples, frames * FRAME)


def probabilities(assets: Path, frames: int) -> list[float]:
    """What the model's reference hears in them."""
    known = json.loads((assets / "speech-probabilities.json").read_text())["speech_probability"]
    return [float(value) for value in known[:frames]]
