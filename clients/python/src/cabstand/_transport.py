"""Connections to routers and hosters, and calls with credentials."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Any, TypeVar

import grpc
import grpc.aio as aio
from google.protobuf.message import Message

from cabstand._auth import Credentials
from cabstand._channel import SessionChannel
from cabstand._errors import CabstandError, from_rpc
from cabstand._options import KeepAlive, Timeouts, TLSConfig
from cabstand._wire import hoster_pb2

M = TypeVar("M", bound=Message)

ROUTER = "/cabstand.v1.RouterService/"
HOSTER = "/cabstand.v1.HosterService/"

_used_by: int | None = None
"""The process that first used gRPC's asyncio side: its threads are not in a fork of it."""


class Transport:
    """One connection for each address and event loop, made when it is first used."""

    def __init__(
        self,
        credentials: Credentials,
        tls: TLSConfig | None,
        keepalive: KeepAlive,
        timeouts: Timeouts,
        max_message_bytes: int,
    ) -> None:
        self._credentials = credentials
        self._tls = tls
        self._timeouts = timeouts
        self.max_message_bytes = max_message_bytes
        self._options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.keepalive_time_ms", int(keepalive.time * 1000)),
            ("grpc.keepalive_timeout_ms", int(keepalive.timeout * 1000)),
            # Without it gRPC waits a minute for the answer to any ping, whatever is said above.
            ("grpc.http2.ping_timeout_ms", int(keepalive.timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", 0),
            ("grpc.http2.max_pings_without_data", 0),
            # A hoster that starts again is wanted back at once.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.min_reconnect_backoff_ms", int(timeouts.connect * 1000)),
            # Retries are decided by reason; gRPC's own would only hold them up.
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if tls is not None and tls.server_name is not None:
            self._options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._channels: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Any]] = (
            weakref.WeakKeyDictionary()
        )
        self._closed = False

    def channel(self, address: str) -> Any:
        """The connection to an address, of this event loop."""
        global _used_by
        if self._closed:
            raise CabstandError("CANCELLED", "the client is closed")
        process = os.getpid()
        if _used_by is None:
            _used_by = process
        elif _used_by != process:
            raise CabstandError(
                "CONFIG_INVALID",
                "gRPC was used before this process was forked, and does not work in it: connect after the fork, "
                "or start processes with multiprocessing's `spawn`",
            )
        channels = self._channels.setdefault(asyncio.get_running_loop(), {})
        known = channels.get(address)
        if known is None:
            known = channels[address] = self._connect(address)
        return known

    def _connect(self, address: str) -> Any:
        if self._tls is None:
            return aio.insecure_channel(address, options=self._options)
        ca, key, cert = self._tls.read()
        secure = grpc.ssl_channel_credentials(ca, key, cert)
        return aio.secure_channel(address, secure, options=self._options)

    async def unary(
        self, address: str, method: str, request: Message, answer: type[M], timeout: float | None = None
    ) -> M:
        """One call. Credentials that are refused are renewed once."""
        limit = self._timeouts.acquire if timeout is None else timeout
        message = request.SerializeToString()
        for attempt in range(2):
            headers = await self._credentials.headers(method, address, message)
            call = self.channel(address).unary_unary(method, response_deserializer=answer.FromString)
            verify = self._credentials.verifier(method, headers)
            try:
                answered = call(message, metadata=headers, timeout=limit)
                reply: M = await answered
                if verify is not None:
                    verify(await answered.initial_metadata())
                return reply
            except aio.AioRpcError as thrown:
                error = from_rpc(thrown)
                if attempt or error.error_class != "auth" or not await self._credentials.renew(error, address):
                    raise error from thrown
        raise AssertionError

    async def first_of_stream(self, address: str, method: str, request: Message, answer: type[M]) -> M:
        """The first message of a stream, which is left after it."""
        message = request.SerializeToString()
        headers = await self._credentials.headers(method, address, message)
        multi = self.channel(address).unary_stream(method, response_deserializer=answer.FromString)
        call = multi(message, metadata=headers, timeout=self._timeouts.acquire)
        verify = self._credentials.verifier(method, headers)
        try:
            first = await call.read()
            if first is aio.EOF:
                raise CabstandError("NODE_BAD_REPLY", f"{address} ended the stream before its first message")
            if verify is not None:
                verify(await call.initial_metadata())
            reply: M = first
            return reply
        except aio.AioRpcError as thrown:
            raise from_rpc(thrown) from thrown
        finally:
            call.cancel()

    async def session(self, address: str, *messages: hoster_pb2.SessionStreamRequest) -> SessionChannel:
        """A stream for a session, with its first messages sent."""
        method = f"{HOSTER}rpc_session_stream"
        headers = await self._credentials.headers(method, address, None)
        multi = self.channel(address).stream_stream(
            method,
            request_serializer=hoster_pb2.SessionStreamRequest.SerializeToString,
            response_deserializer=hoster_pb2.SessionStreamResponse.FromString,
        )
        return SessionChannel(multi(metadata=headers), messages, self._credentials.verifier(method, headers))

    async def renew(self, error: CabstandError, address: str) -> bool:
        """Whether a stream that was refused may be opened once more with other credentials."""
        return error.error_class == "auth" and await self._credentials.renew(error, address)

    async def connected(self, address: str, timeout: float) -> None:
        """Resolves once the connection is up. Raises NODE_UNREACHABLE."""
        try:
            await asyncio.wait_for(self.channel(address).channel_ready(), timeout)
        except asyncio.TimeoutError:
            raise CabstandError("NODE_UNREACHABLE", f"no connection to {address} in {timeout} s") from None

    async def close(self) -> None:
        """Closes the connections of this event loop; those of others go with them."""
        self._closed = True
        channels = self._channels.pop(asyncio.get_running_loop(), {})
        self._channels.clear()
        for channel in channels.values():
            await channel.close()
