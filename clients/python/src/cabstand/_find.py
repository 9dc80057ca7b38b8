"""Where a session is of which only the name is known."""

from __future__ import annotations

import asyncio

from cabstand._errors import CabstandError
from cabstand._placement import Node, Placement
from cabstand._transport import HOSTER, Transport
from cabstand._wire import hoster_pb2, session_pb2

_MOST_ASKED = 64
"""Hosters that are asked at once."""
_ENDED = (session_pb2.SESSION_STATE_ENDED, session_pb2.SESSION_STATE_UNSPECIFIED)


async def find_session(
    placement: Placement, transport: Transport, id: str, model: str, timeout: float
) -> tuple[Node, hoster_pb2.SessionStatusResponse]:
    """The hoster that has a session, and how that stands there. Raises SESSION_ENDED, SESSION_UNKNOWN where none
    has it, or what stood in the way of asking."""
    nodes = await placement.locate(id)
    # Nobody tells routers of sessions that are not durable.
    nodes = nodes or await placement.hosters_of(model)
    request = hoster_pb2.SessionStatusRequest(session_id=id)
    asked = await asyncio.gather(
        *(
            transport.unary(
                node.address,
                f"{HOSTER}rpc_session_status",
                request,
                hoster_pb2.SessionStatusResponse,
                timeout,
            )
            for node in nodes[:_MOST_ASKED]
        ),
        return_exceptions=True,
    )
    found = []
    failure: BaseException | None = None
    for node, answer in zip(nodes, asked, strict=False):
        if isinstance(answer, hoster_pb2.SessionStatusResponse):
            found.append((node, answer))
        elif isinstance(answer, CabstandError) and answer.reason != "SESSION_UNKNOWN":
            failure = failure or answer
    still = [one for one in found if one[1].state not in _ENDED]
    if still:
        return max(still, key=lambda one: one[1].epoch)
    if found:
        raise CabstandError("SESSION_ENDED", f"session {id} has ended", metadata={"session_id": id})
    raise failure or CabstandError("SESSION_UNKNOWN", f"no hoster has session {id}", metadata={"session_id": id})
