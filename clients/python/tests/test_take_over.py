"""A session that is taken over while as many commands wait at its hoster as may."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cabstand import CabstandError, _recovery
from cabstand._channel import SessionChannel
from cabstand._placement import Node
from cabstand._recovery import Recovery, _Break
from cabstand._retry import decide

HOME = Node("a", "1", "127.0.0.1:1")
FULL = CabstandError("RATE_LIMITED", "full", metadata={"limited_by": "commands_waiting"}, retry_after=0.5)


def test_the_session_is_where_it_was() -> None:
    assert decide(FULL, "streaming", resumable=True) == decide(
        CabstandError("NODE_UNREACHABLE", "gone"), "streaming", resumable=True
    )
    assert not decide(CabstandError("RATE_LIMITED", "too fast"), "streaming", resumable=True).reattach


@pytest.mark.parametrize("streams_before", [0, 5])
async def test_it_is_attached_to_again_after_as_long_as_its_hoster_asks_for(
    monkeypatch: pytest.MonkeyPatch, streams_before: int
) -> None:
    waits: list[float] = []
    channel = cast(Any, SessionChannel).__new__(SessionChannel)

    async def slept(seconds: float) -> None:
        waits.append(seconds)

    async def attached(*_: object) -> SessionChannel:
        return cast(SessionChannel, channel)

    core = SimpleNamespace(
        standing=SimpleNamespace(node=HOME),
        retry=SimpleNamespace(pause=lambda _failures: 0.01, max_interval=0.01),
        budget=SimpleNamespace(take=lambda: True),
    )
    recovery = Recovery(cast(Any, core))
    monkeypatch.setattr(_recovery, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": slept}))
    monkeypatch.setattr(recovery, "_places", lambda _home: asyncio.sleep(0, []))
    monkeypatch.setattr(recovery, "_reattach", attached)
    broken = _Break(FULL, FULL, HOME, 0, 0.0, in_row=streams_before)
    assert await recovery._go_on(cast(Any, None), broken, None, True) is channel
    assert waits == [0.5]
