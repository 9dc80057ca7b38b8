"""A connection to a subnet."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from cabstand._auth import TokenProvider, credentials_of
from cabstand._core import Core
from cabstand._errors import CabstandError, invalid
from cabstand._find import find_session
from cabstand._options import (
    KeepAlive,
    SessionOptions,
    Timeouts,
    TLSConfig,
    addresses,
    check_session,
)
from cabstand._placement import Placement
from cabstand._retry import Budget, RetryConfig
from cabstand._session import Session
from cabstand._transport import HOSTER, Transport
from cabstand._view import View
from cabstand._wire import hoster_pb2, model_pb2, router_pb2

if TYPE_CHECKING:
    from typing_extensions import Self

EventCallback = Callable[[str, dict[str, object]], None]


def connect(
    routers: str | Sequence[str] = (),
    *,
    hosters: str | Sequence[str] = (),
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    token_provider: TokenProvider | None = None,
    key: str | os.PathLike[str] | None = None,
    scheme: Literal["token", "signature"] = "token",
    verify_servers: str | os.PathLike[str] | None = None,
    tls: bool | TLSConfig = False,
    timeouts: Timeouts | None = None,
    retry: RetryConfig | None = None,
    keepalive: KeepAlive | None = None,
    max_message_bytes: int = 16_777_216,
) -> Client:
    """A client of a subnet: `async with cabstand.connect("127.0.0.1:50050", key=…) as client`. Nothing is sent
    before it is used.

    Args:
        routers: `host:port`, one or several; any of them will do.
        hosters: instead of routers: hosters to go to without one.
        token: a bearer token.
        token_file: a file with one, read again when it is about to end or is refused.
        token_provider: a function that gives one, or awaits one; called when the last one is about to end.
        key: a member's private key file. With scheme `token` short-lived tokens are made from it, one for each
            server; with `signature` each request is signed.
        verify_servers: a file with the public keys of the subnet (`keys.json`), read again when it changes: answers
            that no server in it has signed are refused (NODE_BAD_REPLY). Needs `key` and scheme `signature`.
        tls: True for certificates of authorities that gRPC trusts, or a TLSConfig.
        timeouts: how long to wait for what.
        retry: how a failed turn is tried again.
        keepalive: pings that find a peer which stands still.
        max_message_bytes: largest message sent or taken.
    """
    if isinstance(tls, TLSConfig):
        certificates: TLSConfig | None = tls
    else:
        certificates = TLSConfig() if tls else None
    return Client(
        routers=addresses("routers", routers),
        hosters=addresses("hosters", hosters),
        credentials=credentials_of(token, token_file, token_provider, key, scheme, verify_servers),
        tls=certificates,
        timeouts=timeouts or Timeouts(),
        retry=retry or RetryConfig(),
        keepalive=keepalive or KeepAlive(),
        max_message_bytes=max_message_bytes,
    )


class Client:
    """Makes sessions, and shares connections and the retry budget among them. `connect` makes one. It may be used
    from several event loops: each has connections of its own. After a fork it raises CONFIG_INVALID where gRPC
    was used before."""

    def __init__(
        self,
        *,
        routers: tuple[str, ...],
        hosters: tuple[str, ...],
        credentials: Any,
        tls: TLSConfig | None,
        timeouts: Timeouts,
        retry: RetryConfig,
        keepalive: KeepAlive,
        max_message_bytes: int,
    ) -> None:
        if not routers and not hosters:
            raise invalid("routers", list(routers), "at least one router, or one of hosters")
        self._timeouts = timeouts
        self._retry = retry
        self._budget = Budget(retry)
        self._transport = Transport(credentials, tls, keepalive, timeouts, max_message_bytes)
        self._placement = Placement(routers, hosters, self._transport, timeouts)
        self._sessions: set[Session] = set()
        self._views: set[View] = set()
        self._inputs: dict[str, Sequence[model_pb2.TensorSpec]] = {}

    def session(
        self,
        model: str,
        *,
        id: str | None = None,
        durable: bool = True,
        digest: str = "",
        priority: int = 0,
        allow: Sequence[str] = (),
        block: Sequence[str] = (),
        max_replay_bytes: int = 16_777_216,
        max_buffered: int = 64,
        timeouts: Timeouts | None = None,
        on_event: EventCallback | None = None,
    ) -> Session:
        """A new session; nothing is sent yet.

        Args:
            model: its name.
            id: name of the session, 1 to 64 of `A-Z a-z 0-9 . _ -`. Default: a random one.
            durable: the session outlives its hoster: a stream that breaks is taken up again where it was, at the
                same hoster or at another one. False: it is lost with its hoster, and ends with its connection.
            digest: only hosters with exactly these weights (`sha256:…`).
            priority: 0 to 9; higher goes first among the sessions of a hoster.
            allow: if not empty, only these node ids.
            block: never these node ids.
            max_replay_bytes: input that is kept to be sent again: what was given since the newest checkpoint.
            max_buffered: records read ahead of the application.
            timeouts: that differ from the client's.
            on_event: told what happens: `opened`, `queued`, `progress`, `draining`, `retry`, `recovering`,
                `recovered`, `notice`, `turn_end`, `failed`, `closed`, each with a dict of facts.
        """
        return self._make(
            check_session(
                SessionOptions(
                    model=model,
                    id=uuid.uuid4().hex if id is None else id,
                    named=id is not None,
                    durable=durable,
                    digest=digest,
                    priority=priority,
                    allow=tuple(allow),
                    block=tuple(block),
                    max_replay_bytes=max_replay_bytes,
                    max_buffered=max_buffered,
                    timeouts=timeouts or self._timeouts,
                    on_event=on_event,
                )
            )
        )

    def _make(self, options: SessionOptions) -> Session:
        core = Core(options, self._placement, self._transport, self._retry, self._budget)
        made = Session(core, lambda: self._declared(options.model), self._sessions.discard)
        self._sessions.add(made)
        return made

    async def attach(
        self,
        id: str,
        *,
        model: str = "",
        max_replay_bytes: int = 16_777_216,
        timeouts: Timeouts | None = None,
        on_event: EventCallback | None = None,
    ) -> Session:
        """Takes over a session of which only the name is known, from whoever uses it: that one is told EPOCH_FENCED.
        `rest()` gives the rest of a turn that runs, from the oldest record that nobody has acknowledged; a turn
        that is run instead goes on in the session. Raises SESSION_UNKNOWN where no hoster has it, SESSION_ENDED.

        Args:
            model: needed where routers do not know the session: then all hosters with the model are asked.
        """
        patience = (timeouts or self._timeouts).acquire
        node, status = await find_session(self._placement, self._transport, id, model, patience)
        session = self.session(
            status.model,
            id=id,
            max_replay_bytes=max_replay_bytes,
            timeouts=timeouts,
            on_event=on_event,
        )
        standing = session._core.standing
        first = status.acknowledged_position + 1
        standing.pending = status.turn >= 0 and (status.turn_runs or first < status.position)
        standing.turn = status.turn if standing.pending else status.turn + 1
        standing.guard.next = first
        standing.node = node
        standing.state = "recovering"
        standing.claims = standing.joins = True
        standing.claim_above(status.epoch)
        return session

    async def view(self, id: str, *, model: str = "", timeouts: Timeouts | None = None) -> View:
        """Watches a session that somebody else of the same principal uses, from its newest key record, or its newest
        record where it marks none. Nothing of the session waits for it. Raises SESSION_UNKNOWN where no hoster has
        it, SESSION_ENDED, LIMIT_EXCEEDED where as many watch it as may.

        Args:
            id: name of the session.
            model: needed where routers do not know the session: then all hosters with the model are asked.
            timeouts: `recover` is how long a session is looked for whose hoster was lost.
        """
        chosen = timeouts or self._timeouts
        found = await find_session(self._placement, self._transport, id, model, chosen.acquire)
        made = View(id, found, self._placement, self._transport, chosen, self._views.discard)
        self._views.add(made)
        return made

    async def nodes(self) -> list[router_pb2.NodeInfo]:
        """The hosters of the subnet, as a router tells them now."""
        return await self._placement.nodes()

    async def info(self, model: str) -> model_pb2.ModelInfo:
        """What a model takes and gives, asked of a hoster that has it. Raises MODEL_UNKNOWN."""
        failure: CabstandError | None = None
        for node in await self._placement.hosters_of(model):
            request = hoster_pb2.InfoRequest(models=[model])
            try:
                answer = await self._transport.unary(
                    node.address, f"{HOSTER}rpc_info", request, hoster_pb2.InfoResponse
                )
            except CabstandError as error:
                failure = failure or error
                continue
            for found in answer.models:
                if found.offer.name == model:
                    return found
        raise failure or CabstandError("MODEL_UNKNOWN", f"no hoster has a model {model!r}")

    async def _declared(self, model: str) -> Sequence[model_pb2.TensorSpec]:
        known = self._inputs.get(model)
        if known is None:
            known = self._inputs[model] = list((await self.info(model)).inputs)
        return known

    async def close(self) -> None:
        """Closes all sessions and connections."""
        await asyncio.gather(
            *(session.close() for session in list(self._sessions)), *(view.aclose() for view in list(self._views))
        )
        await self._placement.close()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
