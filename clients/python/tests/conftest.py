"""One subnet for all tests that need one; those that hurt it mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import cabstand
from tests.subnet import Subnet

# Machines that build something else at the same time are slow.
TIMEOUTS = cabstand.Timeouts(recover=120, place=120, close=30, acquire=20, first=60, stall=60)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def subnet() -> AsyncIterator[Subnet]:
    started = await Subnet.start(
        only=["silero-vad", "g2p", "plasma", "gpt2"],
        hosterConfig={"shutdown_seconds": 10, "limits": {"journal_records": 48, "viewer_bytes": 65_536}},
    )
    yield started
    await started.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def client(subnet: Subnet) -> AsyncIterator[cabstand.Client]:
    async with cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as connected:
        yield connected


@pytest.fixture
def events() -> list[str]:
    return []
