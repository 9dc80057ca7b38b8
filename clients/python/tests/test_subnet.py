"""Against real routers and hosters: what is computed, and what survives."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cabstand
import cabstand.sync
from tests.conftest import TIMEOUTS
from tests.subnet import FRAME, Subnet, probabilities, speech

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.subnet]


def heard(chunks: list[cabstand.Chunk]) -> list[float]:
    return [float(chunk["speech_probability"].item()) for chunk in chunks]


async def test_a_prompt_gives_text_and_a_result(client: cabstand.Client) -> None:
    async with client.session("g2p", durable=False) as session:
        turn = session.run(prompt="tokenizer")
        assert await turn.text() == "T OW1 K AH0 N AY2 Z ER0"
        assert turn.result is not None
        assert (turn.result.turn, turn.result.reason, turn.result.chunks) == (0, "completed", 8)


async def test_a_language_model_goes_on_with_text_and_with_ids(client: cabstand.Client, subnet: Subnet) -> None:
    greedy = json.loads((subnet.assets.parent / "language-models/gpt2-greedy.json").read_text())
    async with client.session("gpt2") as session:
        for answer in greedy[:3]:
            turn = session.generate(answer["prompt"], max_tokens=48)
            assert [chunk.token async for chunk in turn] == answer["tokens"]
        texts = [
            await session.generate("A router is", max_tokens=9, temperature=2, seed=seed).text() for seed in (1, 1, 2)
        ]
        assert texts[0] == texts[1] != texts[2]
        with pytest.raises(cabstand.CallerError, match="messages") as refused:
            await session.generate(messages=[{"role": "user", "content": "Hi"}]).text()
        # This one has no chat template.
        assert refused.value.reason == "INPUT_UNKNOWN"


async def test_a_session_keeps_its_state_over_turns(client: cabstand.Client, subnet: Subnet) -> None:
    audio = speech(subnet.assets, 60)
    chunks = []
    async with client.session("silero-vad") as session:
        for part in np.split(audio, 3):
            chunks += [chunk async for chunk in session.run({"audio": part})]
        assert [chunk.turn for chunk in chunks[::20]] == [0, 1, 2]
    assert heard(chunks) == pytest.approx(probabilities(subnet.assets, 60), abs=1e-4)


async def test_one_array_will_do_for_a_model_with_one_input(client: cabstand.Client, subnet: Subnet) -> None:
    audio = speech(subnet.assets, 5)
    async with client.session("silero-vad") as session:
        first = [chunk async for chunk in session.run(audio)]
    async with client.session("silero-vad") as session:
        floats = (audio / 32768).tolist()
        again = [chunk async for chunk in session.run(floats)]
    assert heard(first) == pytest.approx(heard(again), abs=1e-6)


async def speak(live: cabstand.LiveTurn, audio: Any, frames: int) -> None:
    for number in range(frames):
        await live.send({"audio": audio[number * FRAME : (number + 1) * FRAME]})
    await live.end()


async def test_live_input(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("silero-vad") as session:
        live = session.live(max_parts_in_flight=4)
        speaking = asyncio.create_task(speak(live, speech(subnet.assets, 40), 40))
        chunks = [chunk async for chunk in live]
        await speaking
        with pytest.raises(cabstand.CallerError, match="was ended"):
            await live.send({"audio": np.zeros(FRAME, np.int16)})
    assert heard(chunks) == pytest.approx(probabilities(subnet.assets, 40), abs=1e-4)


async def test_two_senders_and_acks_share_one_writer(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("silero-vad") as session:
        live = session.live()
        part = {"audio": speech(subnet.assets, 1)}
        await asyncio.gather(*(live.send(part) for _ in range(50)))
        await live.end()
        assert len([chunk async for chunk in live]) == 50


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGSTOP"])
@pytest.mark.parametrize("kind", ["whole", "live", "between"])
async def test_a_stream_survives_its_hoster(client: cabstand.Client, subnet: Subnet, how: str, kind: str) -> None:
    frames = 60
    events: list[str] = []
    audio = speech(subnet.assets, frames)
    chunks: list[cabstand.Chunk] = []
    struck = -1

    async def strike() -> None:
        nonlocal struck
        struck = subnet.hoster_of(session.hoster)
        if how == "SIGSTOP":
            subnet.pause("hoster", struck)
        elif how == "SIGKILL":
            await subnet.end("hoster", struck, "SIGKILL")
        else:
            # It hands its sessions over before it goes.
            ending.append(asyncio.create_task(subnet.end("hoster", struck, "SIGTERM")))

    ending: list[asyncio.Task[None]] = []
    async with client.session("silero-vad", on_event=lambda event, _: events.append(event)) as session:
        try:
            if kind == "live":
                live = session.live()
                speaking = asyncio.create_task(speak(live, audio, frames))
                async for chunk in live:
                    chunks.append(chunk)
                    if chunk.index == 20:
                        await strike()
                await speaking
            else:
                for number, part in enumerate(np.split(audio, 3)):
                    async for chunk in session.run(part):
                        chunks.append(chunk)
                        if kind == "whole" and number == 1 and chunk.index == 5:
                            await strike()
                    if kind == "between" and number == 1:
                        await strike()
                        await asyncio.gather(*ending)
        finally:
            await asyncio.gather(*ending)
            if how == "SIGSTOP":
                subnet.go_on("hoster", struck)
            else:
                await subnet.again("hoster", struck)
    assert heard(chunks) == pytest.approx(probabilities(subnet.assets, frames), abs=1e-4)
    # One that is told to go may end a short turn before it goes.
    if how != "SIGTERM":
        assert "recovered" in events


async def test_what_is_not_durable_is_lost_with_its_hoster(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("silero-vad", durable=False, max_buffered=1) as session:
        turn = session.run(speech(subnet.assets, 400))
        await turn.__anext__()
        struck = subnet.hoster_of(session.hoster)
        await subnet.end("hoster", struck)
        with pytest.raises(cabstand.NodeError):
            await turn.text()
        with pytest.raises(cabstand.SessionError):
            await session.run(speech(subnet.assets, 1)).text()
    await subnet.again("hoster", struck)


async def test_one_router_after_the_other_may_go(client: cabstand.Client, subnet: Subnet) -> None:
    for number in range(2):
        await subnet.end("router", number)
        async with client.session("g2p") as session:
            assert await session.run(prompt="hello").text()
        await subnet.again("router", number)


async def test_without_a_router_hosters_can_be_named(subnet: Subnet) -> None:
    addresses = [one.address for one in subnet.hosters]
    async with cabstand.connect(hosters=addresses, key=subnet.key, timeouts=TIMEOUTS) as client:
        assert (await client.info("g2p")).takes_prompt
        async with client.session("g2p") as session:
            assert await session.run(prompt="hello").text()


@pytest.mark.parametrize("scheme", ["key", "signature", "token", "token_file", "token_provider"])
async def test_each_kind_of_credentials(subnet: Subnet, scheme: str, tmp_path: Any) -> None:
    token = await subnet.token()
    (tmp_path / "token").write_text(f"{token}\n")
    kinds: dict[str, dict[str, Any]] = {
        "key": {"key": subnet.key},
        "signature": {"key": subnet.key, "scheme": "signature"},
        "token": {"token": token},
        "token_file": {"token_file": tmp_path / "token"},
        "token_provider": {"token_provider": lambda: token},
    }
    connected = cabstand.connect(subnet.router_addresses, timeouts=TIMEOUTS, **kinds[scheme])
    async with connected as client, client.session("g2p") as session:
        assert await session.run(prompt="hello").text()


async def test_refusals_say_what_is_wrong(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("nothing") as session:
        with pytest.raises(cabstand.CallerError) as caught:
            await session.run(prompt="x").text()
        assert caught.value.reason == "MODEL_UNKNOWN"
    async with client.session("silero-vad") as session:
        with pytest.raises(cabstand.CallerError) as caught:
            await session.run({"audio": np.zeros((1, FRAME), np.float32)}).text()
        assert (caught.value.reason, caught.value.metadata["expected"]) == ("INPUT_RANK", "[samples]")
        # The session is as it was.
        assert len([chunk async for chunk in session.run(speech(subnet.assets, 3))]) == 3
        with pytest.raises(cabstand.CallerError):
            await session.run({"audio": np.zeros((1, FRAME), np.float32)}).text()
        assert len([chunk async for chunk in session.run(speech(subnet.assets, 3))]) == 3
    connected = cabstand.connect(subnet.router_addresses, token="a.b.c", timeouts=TIMEOUTS)
    async with connected as stranger, stranger.session("g2p") as session:
        with pytest.raises(cabstand.AuthError):
            await session.run(prompt="x").text()


async def test_a_turn_that_is_left_or_cancelled_makes_room_for_the_next(
    client: cabstand.Client, subnet: Subnet
) -> None:
    long = speech(subnet.assets, 2000)
    async with client.session("silero-vad") as session:
        async for chunk in session.run(long):
            if chunk.index == 5:
                break
        turn = session.run(long)
        async for chunk in turn:
            if chunk.index == 5:
                await turn.cancel()
        assert turn.result is not None
        assert turn.result.reason == "cancelled"
        assert turn.result.chunks < 2000
        left = session.run(long)
        async with left:
            await left.__anext__()
        with pytest.raises(cabstand.CallerError, match="left"):
            await left.__anext__()
        with pytest.raises(cabstand.NodeError) as caught:
            await session.run(speech(subnet.assets, 8_000), timeout=0.2).text()
        assert caught.value.reason == "DEADLINE_EXCEEDED"
        assert len([chunk async for chunk in session.run(speech(subnet.assets, 3))]) == 3


async def test_one_turn_runs_at_a_time(client: cabstand.Client, subnet: Subnet) -> None:
    async with client.session("silero-vad") as session:
        live = session.live()
        reading = asyncio.create_task(live.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(cabstand.CallerError) as caught:
            await session.run(speech(subnet.assets, 1)).text()
        assert caught.value.reason == "SESSION_BUSY"
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        # Nobody reads it any more: it is left for the next one.
        assert len([chunk async for chunk in session.run(speech(subnet.assets, 1))]) == 1


async def test_a_session_is_taken_over_by_its_name(client: cabstand.Client, subnet: Subnet) -> None:
    frames = 60
    async with client.session("silero-vad", max_buffered=1) as session:
        turn = session.run(speech(subnet.assets, frames))
        first = []
        async for chunk in turn:
            first.append(chunk)
            if chunk.index == 30:
                break
        async with cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as other:
            taken = await other.attach(session.id, model="silero-vad")
            rest = [chunk async for chunk in taken.rest()]
            more = [chunk async for chunk in taken.run(speech(subnet.assets, 2))]
            await taken.close()
            # What nobody had acknowledged comes again to who takes over.
            assert first[-1].position + 1 >= rest[0].position
            assert [chunk.position for chunk in rest] == list(range(rest[0].position, frames))
            assert len(more) == 2
        with pytest.raises(cabstand.CabstandError) as caught:
            await client.attach("nobody-has-this", model="silero-vad")
        assert caught.value.reason == "SESSION_UNKNOWN"


async def test_a_client_serves_several_event_loops(client: cabstand.Client) -> None:
    async def ask() -> str:
        async with client.session("g2p") as session:
            return await session.run(prompt="hello").text()

    assert await asyncio.to_thread(lambda: asyncio.run(ask())) == await ask()


async def in_thread(work: Callable[[], None]) -> None:
    await asyncio.to_thread(work)


async def test_without_asyncio(subnet: Subnet) -> None:
    def work() -> None:
        with cabstand.sync.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as client:
            with client.session("silero-vad") as session:
                chunks = list(session.run(speech(subnet.assets, 20)))
                live = session.live()
                audio = speech(subnet.assets, 20)

                def talk() -> None:
                    for number in range(20):
                        live.send({"audio": audio[number * FRAME : (number + 1) * FRAME]})
                    live.end()

                talking = threading.Thread(target=talk)
                talking.start()
                more = list(live)
                talking.join()
                assert (len(chunks), len(more)) == (20, 20)
                assert heard(chunks) == pytest.approx(probabilities(subnet.assets, 20), abs=1e-4)
            with client.session("g2p") as session, session.run(prompt="hello") as turn:
                assert turn.text()
                assert turn.result is not None
            with client.session("nothing") as session, pytest.raises(cabstand.CallerError):
                list(session.run())

    await in_thread(work)


async def test_a_fork_is_told_to_connect_anew(subnet: Subnet) -> None:
    code = f"""
import asyncio, os, cabstand, cabstand.sync
unused = cabstand.sync.connect({subnet.router_addresses!r}, key={str(subnet.key)!r})
child = os.fork()
if child == 0:
    # Nothing was sent before the fork: the client works here.
    with unused.session("g2p") as session:
        os._exit(0 if session.run(prompt="hello").text() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
with unused.session("g2p") as session:
    session.run(prompt="hello").text()
async def again():
    async with cabstand.connect({subnet.router_addresses!r}, key={str(subnet.key)!r}) as client:
        await client.nodes()
child = os.fork()
if child == 0:
    seen = []
    for use in (lambda: unused.nodes(), lambda: asyncio.run(again())):
        try: use()
        except cabstand.FatalError as error: seen.append(error.reason)
    os._exit(0 if seen == ["CONFIG_INVALID"] * 2 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
unused.close()
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=dict(os.environ))
    assert await asyncio.wait_for(process.wait(), 120) == 0


async def test_over_tls() -> None:
    secured = await Subnet.start(tls=True, only=["g2p"], hosters=1, routers=1)
    try:
        tls = cabstand.TLSConfig(ca=secured.keys / "tls" / "ca.crt")
        async with (
            cabstand.connect(secured.router_addresses, key=secured.key, timeouts=TIMEOUTS, tls=tls) as client,
            client.session("g2p") as session,
        ):
            assert await session.run(prompt="hello").text() == "HH EH1 L OW0"
        # Authorities that everybody trusts did not sign for it; nor does it speak to those who ask for no TLS.
        brief = cabstand.Timeouts(place=2, acquire=2)
        for other in (True, False):
            retry = cabstand.RetryConfig(attempts=1)
            async with cabstand.connect(
                secured.router_addresses, key=secured.key, timeouts=brief, retry=retry, tls=other
            ) as stranger:
                with pytest.raises(cabstand.NodeError) as raised:
                    await stranger.session("g2p").run(prompt="hello").text()
                assert raised.value.reason == "ROUTER_UNREACHABLE"
    finally:
        await secured.stop()
