"""What live turns keep and wait for, without a subnet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import cabstand
from cabstand._live_parts import LiveParts
from cabstand._wire import hoster_pb2, session_pb2


class _Sent:
    """Stands for a stream where only what is sent counts."""

    over = False

    def __init__(self) -> None:
        self.parts: list[int] = []

    def send(self, message: hoster_pb2.SessionStreamRequest) -> bool:
        self.parts.append(message.input.part)
        return True


class TestLiveParts:
    @staticmethod
    def parts(count: int, **limits: int) -> tuple[LiveParts, _Sent]:
        parts = LiveParts(**{"most_parts": 100, "most_bytes": 1000, "most_replay": 1000, **limits})
        channel = _Sent()
        parts.attach(channel, True)  # type: ignore[arg-type]
        for number in range(count):
            parts.add(session_pb2.LiveInput(part=number), 10)
        return parts, channel

    def test_another_hoster_gets_what_the_checkpoint_does_not_hold(self) -> None:
        parts, channel = self.parts(6)
        assert channel.parts == [0, 1, 2, 3, 4, 5]
        for number in range(4):
            parts.applied(number, number * 2)
        parts.checkpoint(3)
        other = _Sent()
        parts.attach(other, True)  # type: ignore[arg-type]
        assert other.parts == [2, 3, 4, 5]
        same = _Sent()
        parts.accepted(4)
        parts.attach(same, False)  # type: ignore[arg-type]
        assert same.parts == [4, 5]

    def test_room_follows_what_the_hoster_took(self) -> None:
        parts, _ = self.parts(3, most_parts=3)
        assert not parts.has_room
        parts.accepted(1)
        assert parts.has_room

    def test_more_than_may_be_kept_is_given_up(self) -> None:
        parts, _ = self.parts(5, most_replay=20)
        parts.accepted(5)
        assert not parts.replayable


class TestLiveTurn:
    async def test_a_sender_waits_as_long_as_somebody_reads(self) -> None:
        async def start(turn_input: Any, live: Any, paused: Any, numbered: Any) -> Any:
            numbered(SimpleNamespace(turn=0, touched=0.0, fail=lambda error: None))
            await asyncio.Event().wait()

        options = SimpleNamespace(max_buffered=1, timeouts=cabstand.Timeouts(write=1, close=0.1))
        core: Any = SimpleNamespace(
            options=options,
            start=start,
            standing=SimpleNamespace(continuation=SimpleNamespace(room=1000), state="idle"),
            commands=SimpleNamespace(awaited=False),
            delivered=lambda *_: None,
            cancel_turn=lambda: None,
        )

        async def make(_: Any = None) -> Any:
            return []

        live = cabstand.LiveTurn(core, make, make, before=None, timeout=None, most_parts=1, most_bytes=1000)
        chunk = session_pb2.Record(chunk=session_pb2.Chunk(text="a"))
        live._take([chunk])
        sending = asyncio.create_task(live.send([1]))
        # What was read is full again before anybody looks: the reader is busy with a chunk most of the time.
        for _ in range(15):
            assert (await live.__anext__()).text == "a"
            live._take([chunk])
            await asyncio.sleep(0.1)
            assert not sending.done()
        with pytest.raises(cabstand.CallerError) as raised:
            await sending
        assert raised.value.reason == "LIMIT_EXCEEDED"
        await live.aclose()
