"""Sessions that make way for one another between turns, and their callers, who notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

import cabstand
from tests.conftest import TIMEOUTS
from tests.subnet import Subnet, probabilities, speech

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.subnet]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow() -> AsyncIterator[Subnet]:
    """One hoster with room for one session."""
    limits = {"max_sessions": 1, "queue_length": 0}
    started = await Subnet.start(routers=1, hosters=1, only=["silero-vad"], hosterConfig={"limits": limits})
    yield started
    await started.stop()


async def test_sessions_with_open_streams_make_way_for_one_another(narrow: Subnet) -> None:
    audio = speech(narrow.assets, 30)
    causes: list[str] = []

    def told(event: str, facts: dict[str, object]) -> None:
        if event == "recovering" and isinstance(cause := facts["cause"], cabstand.CabstandError):
            causes.append(cause.reason)

    async with cabstand.connect(narrow.router_addresses, key=narrow.key, timeouts=TIMEOUTS) as client:
        sessions = [client.session("silero-vad", on_event=told) for _ in range(2)]
        heard: list[list[float]] = [[], []]
        for part in np.split(audio, 3):
            for session, values in zip(sessions, heard, strict=True):
                turn = session.run({"audio": part})
                values += [float(chunk["speech_probability"].item()) async for chunk in turn]
        for session, values in zip(sessions, heard, strict=True):
            assert values == pytest.approx(probabilities(narrow.assets, 30), abs=1e-4)
            await session.close()
    # Each but the first turn of a session began with the other one's in the only place.
    assert causes == ["SESSION_EVICTED"] * 4


async def test_a_session_is_evicted_while_nobody_looks_at_its_stream(narrow: Subnet) -> None:
    audio = speech(narrow.assets, 20)
    async with cabstand.connect(narrow.router_addresses, key=narrow.key, timeouts=TIMEOUTS) as client:
        first = client.session("silero-vad")
        heard = [chunk async for chunk in first.run({"audio": audio[: 10 * 512]})]
        async with client.session("silero-vad") as second:
            assert len([chunk async for chunk in second.run({"audio": audio[:512]})]) == 1
        await asyncio.sleep(0)
        heard += [chunk async for chunk in first.run({"audio": audio[10 * 512 :]})]
        values = [float(chunk["speech_probability"].item()) for chunk in heard]
        assert values == pytest.approx(probabilities(narrow.assets, 20), abs=1e-4)
        await first.close()
