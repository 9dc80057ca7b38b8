"""Watching sessions that somebody else uses, against real routers and hosters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import cabstand
import cabstand.sync
from tests.conftest import TIMEOUTS
from tests.subnet import FRAME, Subnet, speech

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.subnet]

Got = dict[int, Any]
"""What came, by position."""


class Speaker:
    """Uses a session: live input, a few frames at a time, as long as it is told to."""

    def __init__(self, session: cabstand.Session, audio: Any) -> None:
        self.session = session
        self.got: Got = {}
        self._live = session.live()
        self._audio = audio
        self._sent = 0
        self._heard = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def say(self, frames: int) -> None:
        """Resolves once all chunks of it are here."""
        for _ in range(frames):
            first = self._sent * FRAME % (len(self._audio) - FRAME)
            await self._live.send({"audio": self._audio[first : first + FRAME]})
            self._sent += 1
        while len(self.got) < self._sent:
            self._heard.clear()
            await self._heard.wait()

    async def say_until(self, holds: Callable[[], bool]) -> None:
        """A view begins at the newest record, which may be none that it gives: so there is to be another one."""
        while not holds():
            await self.say(1)
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        await self._live.end()
        await self._reading

    async def over(self) -> None:
        """Its session was closed, in the middle of the turn or behind it."""
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for chunk in self._live:
            self.got[chunk.position] = chunk["speech_probability"].item()
            self._heard.set()


@asynccontextmanager
async def speaking(client: cabstand.Client, subnet: Subnet) -> AsyncIterator[Speaker]:
    async with client.session("silero-vad") as session:
        speaker = Speaker(session, speech(subnet.assets, 200))
        await speaker.say(5)
        yield speaker
    await speaker.over()


async def watch(view: cabstand.View, got: Got) -> None:
    async for chunk in view:
        assert chunk.position not in got
        got[chunk.position] = chunk["speech_probability"].item()


async def test_several_watch_what_the_one_who_uses_it_gets(subnet: Subnet, client: cabstand.Client) -> None:
    seen: list[Got] = [{}, {}]
    async with cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS) as other:
        async with speaking(client, subnet) as speaker:
            views = [await other.view(speaker.session.id) for _ in seen]
            assert views[0].model == "silero-vad"
            assert views[0].hoster == speaker.session.hoster
            watching = [asyncio.create_task(watch(*one)) for one in zip(views, seen, strict=True)]
            await speaker.say_until(lambda: all(seen))
            await speaker.say(40)
            await speaker.end()
            assert views[0].reason is None
        await asyncio.gather(*watching)
        for view, got in zip(views, seen, strict=True):
            assert (view.reason, view.error, view.skipped) == ("completed", None, 0)
            assert max(got) == max(speaker.got)
            assert len(got) >= 40
            assert got == {position: speaker.got[position] for position in got}
        with pytest.raises(cabstand.CabstandError) as caught:
            await other.view(speaker.session.id, model="silero-vad")
        assert caught.value.reason in ("SESSION_ENDED", "SESSION_UNKNOWN")


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGSTOP"])
async def test_a_view_goes_along_where_its_session_goes(client: cabstand.Client, subnet: Subnet, how: Any) -> None:
    got: Got = {}
    async with speaking(client, subnet) as speaker, await client.view(speaker.session.id) as view:
        watching = asyncio.create_task(watch(view, got))
        await speaker.say_until(lambda: bool(got))
        struck = subnet.hoster_of(speaker.session.hoster)
        if how == "SIGSTOP":
            subnet.pause("hoster", struck)
        else:
            await subnet.end("hoster", struck, how)
        try:
            await speaker.say(20)
            moved = speaker.session.hoster
            # Positions after the move: it has found the session.
            before = max(speaker.got)
            await speaker.say_until(lambda: max(got) > before or watching.done())
            await speaker.end()
            assert view.hoster == moved
        finally:
            if how == "SIGSTOP":
                subnet.go_on("hoster", struck)
            else:
                await subnet.again("hoster", struck)
        await speaker.session.close()
        await watching
        assert view.reason == "completed"
        assert got == {position: speaker.got[position] for position in got}
        # What it missed meanwhile it was told, chunks and what was between them.
        missed = [position for position in speaker.got if min(got) < position < max(got) and position not in got]
        assert view.skipped >= len(missed)


async def test_who_is_too_slow_is_told_what_was_left_out(client: cabstand.Client, subnet: Subnet) -> None:
    connected = cabstand.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS)
    async with connected as other, client.session("plasma") as session:
        turn = session.run(prompt="ocean waves", parameters={"fps": 60})
        await turn.__anext__()
        view = await other.view(session.id)
        first = await view.__anext__()
        # The one who uses it is not held up by a view that nobody reads: more than what the network keeps.
        async for chunk in turn:
            if chunk.index == 500:
                break
        positions = [first.position]
        left_out = 0
        async for item in view.events():
            if isinstance(item, cabstand.Skipped):
                left_out += item.records
            elif isinstance(item, cabstand.Chunk):
                positions.append(item.position)
                if left_out or chunk.position > 5_000:
                    break
            chunk = await turn.__anext__()
        assert 0 < left_out <= positions[-1] - positions[-2]
        assert view.skipped == left_out
        assert positions == sorted(set(positions))
        await view.aclose()
        with pytest.raises(StopAsyncIteration):
            await view.__anext__()


async def test_a_module_that_is_watched_ends_with_its_turn(client: cabstand.Client) -> None:
    async with client.session("plasma") as session:
        turn = session.run(prompt="ocean waves", parameters={"fps": 30})
        await turn.__anext__()
        async with await client.view(session.id) as view:
            watching = asyncio.ensure_future(view.events().__anext__())
            async for chunk in turn:
                if chunk.index == 20:
                    break
            await watching
            await turn.aclose()
            async for _ in view:
                pass
            assert view.reason in ("cancelled", "completed", "stopped")


async def test_closing_ends_a_view_that_waits(client: cabstand.Client, subnet: Subnet) -> None:
    got: Got = {}
    async with speaking(client, subnet) as speaker:
        view = await client.view(speaker.session.id)
        watching = asyncio.create_task(watch(view, got))
        await speaker.say_until(lambda: bool(got))
        with pytest.raises(cabstand.CallerError) as caught:
            await view.__anext__()
        assert caught.value.reason == "SESSION_BUSY"
        await view.aclose()
        await watching
        assert view.reason is None


async def test_as_many_watch_as_may(client: cabstand.Client, subnet: Subnet) -> None:
    async with speaking(client, subnet) as speaker:
        views = [await client.view(speaker.session.id) for _ in range(17)]
        watching = [asyncio.create_task(watch(view, {})) for view in views]
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().exception()
        assert isinstance(refused, cabstand.CabstandError)
        assert refused.reason == "LIMIT_EXCEEDED"
        await asyncio.gather(*(view.aclose() for view in views))
        await asyncio.gather(*watching, return_exceptions=True)


async def test_watching_without_asyncio(subnet: Subnet) -> None:
    def work() -> None:
        connected = cabstand.sync.connect(subnet.router_addresses, key=subnet.key, timeouts=TIMEOUTS)
        with connected as client, client.session("plasma") as session:
            turn = session.run(prompt="ocean waves", parameters={"fps": 30})
            next(turn)
            with client.view(session.id) as view:
                assert isinstance(next(view.events()), (cabstand.Chunk, cabstand.Message))
                # Nothing is computed beyond what the one who uses it has read.
                assert len([next(turn) for _ in range(30)]) == 30
                first = next(view)
                assert next(view).position > first.position
                session.close()
                assert all(isinstance(chunk, cabstand.Chunk) for chunk in view)
                assert view.reason is not None
                assert (view.id, view.model) == (session.id, "plasma")

    await asyncio.to_thread(work)
