"""Where sessions go: routers, the hosters that they name, and what this client knows of these at first hand."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from google.protobuf.message import Message

from cabstand._errors import CabstandError
from cabstand._options import Timeouts
from cabstand._transport import ROUTER, Transport
from cabstand._wire import router_pb2

M = TypeVar("M", bound=Message)

_MOST_EXCLUDED = 64
_MOST_NODES = 1000
_ROUTER_REST = 5.0
"""How long a router that failed is asked last, in seconds."""
_FAILED_REST = 30.0
_FULL_REST = 1.0
_LONGEST_PUSHBACK = 60.0
_BROKEN_AFTER = 3
_BROKEN_REST = 5.0


@dataclass(frozen=True)
class Node:
    """One process of a hoster."""

    id: str
    incarnation: str
    """Empty: any, of a node of which only the address is known."""
    address: str

    @property
    def key(self) -> tuple[str, str]:
        return self.id, self.incarnation


@dataclass(frozen=True)
class Place:
    node: Node
    ticket: str = ""
    lease: str = ""
    alternatives: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What a session needs of a hoster."""

    model: str
    digest: str = ""
    session_id: str = ""
    """Empty for a session that is not durable."""
    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    resume: bool = False
    avoid: tuple[Node, ...] = ()


@dataclass
class _Record:
    """What is known of a node at first hand."""

    failures: int = 0
    avoid_until: float = 0.0
    broken_until: float = 0.0


def _node(info: router_pb2.NodeInfo) -> Node:
    return Node(info.node_id, info.incarnation, info.address)


@dataclass
class Health:
    """Who failed this client, and who had no room; each for a while. A node that was started again is another."""

    clock: Callable[[], float] = time.monotonic
    _nodes: dict[tuple[str, str], _Record] = field(default_factory=dict)
    _refs: dict[tuple[str, str], Node] = field(default_factory=dict)

    def avoided(self) -> list[Node]:
        now = self.clock()
        return [self._refs[key] for key, one in self._nodes.items() if one.avoid_until > now]

    def broken(self) -> list[Node]:
        now = self.clock()
        return [self._refs[key] for key, one in self._nodes.items() if one.broken_until > now]

    def is_avoided(self, node: Node) -> bool:
        known = self._nodes.get(node.key)
        return known is not None and known.avoid_until > self.clock()

    def is_broken(self, node: Node) -> bool:
        known = self._nodes.get(node.key)
        return known is not None and known.broken_until > self.clock()

    def served(self, node: Node) -> None:
        self._nodes.pop(node.key, None)
        self._refs.pop(node.key, None)

    def refused(self, node: Node, error: CabstandError) -> None:
        """It answered, so it lives."""
        record = self._of(node)
        record.failures = 0
        rest = _FULL_REST if error.retry_after is None else min(error.retry_after, _LONGEST_PUSHBACK)
        record.avoid_until = self.clock() + rest

    def failed(self, node: Node, error: CabstandError) -> bool:
        """Answers whether routers should hear of it: not for what something on the way may have made."""
        record = self._of(node)
        record.failures += 1
        doubtful = record.failures == 1 and error.metadata.get("grpc_status") in ("INTERNAL", "UNKNOWN")
        now = self.clock()
        record.avoid_until = now + (_FULL_REST if doubtful else _FAILED_REST)
        if record.failures >= _BROKEN_AFTER:
            record.broken_until = now + _BROKEN_REST
        return not doubtful

    def _of(self, node: Node) -> _Record:
        if len(self._nodes) >= _MOST_NODES:
            oldest = next(iter(self._nodes))
            del self._nodes[oldest], self._refs[oldest]
        self._refs[node.key] = node
        return self._nodes.setdefault(node.key, _Record())


class Routers:
    """Any of them answers; one that failed is asked last for a while."""

    def __init__(self, listed: Sequence[str], transport: Transport, timeouts: Timeouts) -> None:
        # Clients that were given the same list do not all start at its head.
        first = random.randrange(len(listed)) if listed else 0
        self._listed = [*listed[first:], *listed[:first]]
        self._rests: dict[str, float] = {}
        self._transport = transport
        self._timeouts = timeouts

    def __len__(self) -> int:
        return len(self._listed)

    def order(self) -> list[str]:
        now = time.monotonic()
        return sorted(self._listed, key=lambda address: self._rests.get(address, 0.0) > now)

    async def ask(self, method: str, request: Message, answer: type[M], *, stream: bool = False) -> M:
        """Asks one after the other. One that cannot be reached leads to the next one, and so does one that knows
        nobody: it may have just started. Raises ROUTER_UNREACHABLE where none answers."""
        refusal: CabstandError | None = None
        failure: CabstandError | None = None
        for address in self.order():
            call = self._transport.first_of_stream if stream else self._transport.unary
            try:
                found = await call(address, f"{ROUTER}{method}", request, answer)
            except CabstandError as error:
                if error.error_class == "node":
                    self._rests[address] = time.monotonic() + _ROUTER_REST
                    failure = failure or error
                elif error.reason in ("NO_NODE", "MODEL_UNKNOWN", "NODE_UNKNOWN"):
                    refusal = refusal or error
                else:
                    raise
                continue
            self._rests.pop(address, None)
            # The one that answered is asked first.
            self._listed.sort(key=lambda one: one != address)
            return found
        if refusal is not None:
            raise refusal
        raise CabstandError(
            "ROUTER_UNREACHABLE",
            f"no router answers ({', '.join(self._listed)}): {failure.message if failure else 'there is none'}",
            metadata=dict(failure.metadata) if failure else {},
        ) from failure


Outcome = Literal["served", "refused", "failed", "undecided"]


class Placement:
    """Gives places for sessions and takes what became of them."""

    def __init__(
        self, routers: Sequence[str], hosters: Sequence[str], transport: Transport, timeouts: Timeouts
    ) -> None:
        self.routers = Routers(routers, transport, timeouts)
        self.health = Health()
        self._hosters = tuple(Node(address, "", address) for address in hosters)
        self._seen: dict[str, Node] = {}
        """Nodes that routers named last, by address; used where no router answers."""
        self._models: dict[str, frozenset[str]] = {}
        self._reports: set[asyncio.Task[Any]] = set()

    async def acquire(self, wish: Wish) -> Place:
        """A hoster, from a router with a reservation; from what was seen last where no router answers. Raises
        NO_NODE, MODEL_UNKNOWN or ROUTER_UNREACHABLE."""
        if not len(self.routers):
            return self._choose(wish, self._hosters, None)
        try:
            return await self._from_router(wish)
        except CabstandError as error:
            if error.reason != "ROUTER_UNREACHABLE":
                raise
            seen = [node for node in self._seen.values() if wish.model in self._models.get(node.address, ())]
            return self._choose(wish, seen, error)

    async def _from_router(self, wish: Wish) -> Place:
        # Where nobody is left, those that merely failed before are better than none, and the one that a session
        # is leaving is the last to turn to.
        broken = self.health.broken()
        tiers = [[*wish.avoid, *broken, *self.health.avoided()], [*wish.avoid, *broken], broken]
        unique = [list({node.key: node for node in tier}.values()) for tier in tiers]
        for number, out in enumerate(unique):
            fewer = any(len(other) < len(out) for other in unique[number + 1 :])
            if number and len(out) >= len(unique[number - 1]):
                continue
            try:
                return await self._acquire(wish, out)
            except CabstandError as error:
                if error.reason != "NO_NODE" or not fewer:
                    raise
        raise AssertionError

    async def _acquire(self, wish: Wish, out: Iterable[Node]) -> Place:
        request = router_pb2.AcquireRequest(
            model=wish.model,
            digest=wish.digest,
            allow=wish.allow,
            block=wish.block,
            resume=wish.resume,
            session_id=wish.session_id,
        )
        for node in list(out)[:_MOST_EXCLUDED]:
            request.exclude.add(node_id=node.id, incarnation=node.incarnation)
        answer = await self.routers.ask("rpc_acquire", request, router_pb2.AcquireResponse)
        if not answer.lease.HasField("node"):
            raise CabstandError("NO_NODE", "the router gave no hoster and no reason")
        for info in (answer.lease.node, *answer.alternatives):
            self._saw(info)
        others = (_node(info) for info in answer.alternatives)
        return Place(
            _node(answer.lease.node),
            answer.lease.ticket,
            answer.lease.lease_id,
            tuple(one for one in others if not self.health.is_avoided(one) and not self.health.is_broken(one)),
        )

    def _saw(self, info: router_pb2.NodeInfo) -> None:
        while len(self._seen) >= _MOST_NODES:
            oldest = next(iter(self._seen))
            del self._seen[oldest], self._models[oldest]
        self._seen[info.address] = _node(info)
        self._models[info.address] = frozenset(model.name for model in info.models)

    def _choose(self, wish: Wish, nodes: Sequence[Node], error: CabstandError | None) -> Place:
        allowed = [node for node in nodes if (not wish.allow or node.id in wish.allow) and node.id not in wish.block]
        if not allowed:
            raise error or CabstandError("NO_NODE", "the allow and block lists leave no hoster")
        avoid = {node.key for node in wish.avoid}
        random.shuffle(allowed)
        # False sorts first: those that are best known to be well.
        allowed.sort(
            key=lambda node: (
                self.health.is_broken(node),
                node.key in avoid,
                self.health.is_avoided(node),
            )
        )
        return Place(allowed[0], alternatives=tuple(allowed[1:]))

    async def nodes(self) -> list[router_pb2.NodeInfo]:
        """All nodes of the subnet, as a router tells them now."""
        request = router_pb2.WatchNodesRequest()
        answer = await self.routers.ask("rpc_watch_nodes", request, router_pb2.WatchNodesResponse, stream=True)
        for info in answer.nodes:
            self._saw(info)
        return list(answer.nodes)

    async def hosters_of(self, model: str) -> list[Node]:
        """Hosters that may be asked about a model."""
        if not len(self.routers):
            return list(self._hosters)
        online = router_pb2.NODE_STATE_ONLINE
        known = await self.nodes()
        having = [one for one in known if not model or any(offer.name == model for offer in one.models)]
        return [_node(one) for one in sorted(having, key=lambda one: one.state != online)]

    async def locate(self, session_id: str) -> list[Node]:
        """Hosters that claim a durable session of the caller, the likeliest first."""
        if not len(self.routers):
            return []
        request = router_pb2.LocateRequest(session_id=session_id)
        answer = await self.routers.ask("rpc_locate", request, router_pb2.LocateResponse)
        return [_node(one.node) for one in answer.locations if one.HasField("node")]

    def settle(self, node: Node, outcome: Outcome, error: CabstandError | None = None, lease: str = "") -> None:
        """What became of a visit."""
        if outcome == "served":
            self.health.served(node)
        elif outcome == "refused" and error is not None:
            self.health.refused(node, error)
        elif outcome == "failed" and error is not None and self.health.failed(node, error):
            self._report(node, error, lease)

    def _report(self, node: Node, error: CabstandError, lease: str) -> None:
        if not len(self.routers) or not node.incarnation:
            return
        request = router_pb2.ReportRequest(
            node_id=node.id,
            incarnation=node.incarnation,
            lease_id=lease,
            reason=error.reason,
            message=error.message[:500],
        )

        async def tell() -> None:
            # Evidence is worth one try.
            with contextlib.suppress(CabstandError):
                await self.routers.ask("rpc_report", request, router_pb2.ReportResponse)

        task = asyncio.create_task(tell(), name="cabstand-report")
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def close(self) -> None:
        for task in list(self._reports):
            task.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
