"""Sessions of modules against real routers and hosters: what they are told, and what they tell."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import cabstand
from cabstand._find import find_session
from tests.conftest import TIMEOUTS
from tests.subnet import Subnet, speech

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.subnet]


async def test_commands_after_a_take_over_survive_a_hoster_that_dies_with_those_of_before(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    version = tmp_path / "models" / "gated" / "1"
    version.mkdir(parents=True)
    # Emits one frame, and heeds no command before the gate is there.
    source = Path(__file__).parents[3] / "test" / "modules" / "gated.ts"
    (version / "index.ts").write_text(source.read_text())
    outputs = {"y": {"dtype": "float32", "shape": [1]}}
    manifest = {"kind": "module", "survival": "commit", "prompt": True, "outputs": outputs}
    (version.parent / "model.yaml").write_text(json.dumps(manifest))
    # Each record is acknowledged.
    subnet = await Subnet.start(models=str(version.parents[1]), hosterConfig={"limits": {"journal_records": 4}})
    try:
        async with (
            cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as one,
            cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as two,
        ):
            session = one.session("gated")
            turn = session.run(prompt=str(gate))
            await turn.__anext__()
            lost = [asyncio.create_task(session.command("say", {"what": what})) for what in "ab"]
            await asyncio.sleep(0)
            reading = [asyncio.create_task(_drain(turn))]
            # Told behind the commands: they are there.
            acknowledged = -1
            while acknowledged < 0:
                await asyncio.sleep(0.05)
                _, status = await find_session(two._placement, two._transport, session.id, "gated", 5.0)
                acknowledged = status.acknowledged_position
            opened = asyncio.Semaphore(0)
            taken = await two.attach(
                session.id, model="gated", on_event=lambda event, _: opened.release() if event == "opened" else None
            )
            reading.append(asyncio.create_task(_drain(taken.run(prompt=str(gate)))))
            await opened.acquire()
            results = [asyncio.create_task(taken.command("say", {"what": what})) for what in "cd"]
            told = await asyncio.gather(*lost, return_exceptions=True)
            assert [getattr(error, "reason", None) for error in told] == ["SESSION_ENDED", "SESSION_ENDED"]
            await subnet.end("hoster", subnet.hoster_of(taken.hoster))
            await opened.acquire()
            gate.touch()
            assert await asyncio.gather(*results) == [{"said": ["c"]}, {"said": ["c", "d"]}]
            await taken.command("say", {"what": "goodbye"})
            fenced, ended = await asyncio.gather(*reading, return_exceptions=True)
            assert (getattr(fenced, "reason", None), ended) == ("EPOCH_FENCED", None)
    finally:
        await subnet.stop()


async def _drain(turn: cabstand.Turn) -> None:
    async for _ in turn:
        pass


@pytest.mark.parametrize("hurt", [False, True])
async def test_a_module_is_told_and_tells(client: cabstand.Client, subnet: Subnet, hurt: bool) -> None:
    events: list[str] = []
    async with client.session("plasma", on_event=lambda event, _: events.append(event)) as session:
        indexes = []
        results = []
        messages = []
        async for item in session.run(prompt="ocean waves", parameters={"fps": 30}).events():
            if isinstance(item, cabstand.Message):
                messages.append(item)
                continue
            indexes.append(item.index)
            if item.index == 5 and hurt:
                struck = subnet.hoster_of(session.hoster)
                await subnet.end("hoster", struck)
            if item.index == 10:
                results.append(await session.command("set_prompt", {"prompt": "neon spiral"}))
                with pytest.raises(cabstand.CallerError) as caught:
                    await session.command("pause", {"paused": "perhaps"})
                assert caught.value.reason == "COMMAND_INVALID"
                with pytest.raises(cabstand.CallerError) as caught:
                    await session.command("nothing")
                assert caught.value.reason == "COMMAND_UNKNOWN"
            if item.index == 20:
                break
    assert indexes == list(range(21))
    assert set(results[0]) == {"from_frame"}
    if hurt:
        assert "recovered" in events
        await subnet.again("hoster", struck)


async def test_other_models_know_no_commands(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("silero-vad", max_buffered=1) as session:
        turn = session.run(speech(subnet.assets, 60))
        await turn.__anext__()
        with pytest.raises(cabstand.CallerError) as caught:
            await session.command("set_prompt")
        assert caught.value.reason == "COMMAND_UNKNOWN"
