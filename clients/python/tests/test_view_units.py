"""Views without services: which records of a session they take for new ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

import cabstand
from cabstand import _view
from cabstand._options import Timeouts
from cabstand._placement import Node
from cabstand._wire import hoster_pb2, session_pb2

STREAMING, ORPHANED = session_pb2.SESSION_STATE_STREAMING, session_pb2.SESSION_STATE_ORPHANED
NODE = Node("a", "1", "127.0.0.1:1")


def status(epoch: int, position: int, state: Any = STREAMING) -> hoster_pb2.SessionStatusResponse:
    return hoster_pb2.SessionStatusResponse(epoch=epoch, position=position, state=state, model="m")


class Channel:
    """A stream that gives chunks of an epoch, and then ends as it is told."""

    def __init__(self, epoch: int, positions: Iterable[int], end: hoster_pb2.SessionStreamResponse | None) -> None:
        record = session_pb2.Record
        chunk = session_pb2.Chunk()
        self._left = [
            hoster_pb2.SessionStreamResponse(record=record(position=at, epoch=epoch, chunk=chunk)) for at in positions
        ]
        self._end = end

    async def read(self, _timeout: float | None) -> hoster_pb2.SessionStreamResponse:
        if self._left:
            return self._left.pop(0)
        if self._end is None:
            raise cabstand.CabstandError("SESSION_UNKNOWN", "it is not there")
        return self._end

    def cancel(self, _error: object = None) -> None:
        pass


class Streams:
    def __init__(self, *channels: Channel) -> None:
        self._channels = list(channels)

    async def session(self, _address: str, _message: object) -> Channel:
        return self._channels.pop(0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("then", "seen"),
    [
        (status(2, 9), [3, 4, 5]),
        (status(3, 0), [3, 4, 5]),
        (status(2, 4), [3, 4, 0, 1, 5]),
        (status(1, 9), [3, 4, 0, 1, 5]),
        (status(1, 9, ORPHANED), [3, 4, 5]),
    ],
    ids=["goes on", "goes on elsewhere", "begun anew", "begun anew after a move", "left behind"],
)
async def test_a_session_that_was_begun_anew_counts_its_positions_anew(
    monkeypatch: pytest.MonkeyPatch, then: hoster_pb2.SessionStatusResponse, seen: list[int]
) -> None:
    async def find(*_: object) -> tuple[Node, hoster_pb2.SessionStatusResponse]:
        return NODE, then

    monkeypatch.setattr(_view, "find_session", find)
    monkeypatch.setattr(_view, "_AGAIN", 0)
    closed = hoster_pb2.SessionStreamResponse(closed=hoster_pb2.Closed(reason=session_pb2.END_REASON_COMPLETED))
    streams = Streams(Channel(2, [3, 4], None), Channel(then.epoch, [0, 1, 5], closed))
    view = cabstand.View("s", (NODE, status(1, 5)), cast(Any, None), cast(Any, streams), Timeouts(), lambda _: None)
    assert [chunk.position async for chunk in view] == seen
