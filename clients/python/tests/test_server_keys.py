"""Answers of servers that have to prove who they are."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio as aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import cabstand
from cabstand import CabstandError
from cabstand._auth import credentials_of
from cabstand._options import KeepAlive, Timeouts
from cabstand._transport import HOSTER, Transport
from cabstand._wire import hoster_pb2

OWN, STRANGE = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """One's own key, and the public keys of the subnet."""
    key, keys = tmp_path / "client.key.json", tmp_path / "keys.json"
    member = {"kid": "client-1", "d": text_of(OWN.private_bytes_raw()), "principal": "client", "roles": ["client"]}
    key.write_text(json.dumps(member))
    x = text_of(OWN.public_key().public_bytes_raw())
    entries = [
        {"kid": "hoster-1", "x": x, "roles": ["hoster"]},
        {"kid": "client-2", "x": x, "roles": ["client"]},
        {"kid": "old", "x": x, "roles": ["hoster"], "not_after": "2020-01-01T00:00:00.000Z"},
    ]
    keys.write_text(json.dumps({"keys": entries}))
    return key, keys


class Signing(grpc.GenericRpcHandler):
    """A hoster that signs as it is told, with the nonce of the request or another one."""

    def __init__(self, kid: str | None, key: Ed25519PrivateKey, stale: bool) -> None:
        self._as = kid, key, stale

    def service(self, details: Any) -> Any:
        sent = dict(details.invocation_metadata)
        kid, key, stale = self._as
        nonce = "A" * 22 if stale else sent["cabstand-nonce"]
        headers: tuple[tuple[str, str], ...] = ()
        if kid is not None:
            text = "\n".join(["cabstand-response-v1", kid, details.method, nonce, "1"])
            values = kid, "1", text_of(key.sign(text.encode()))
            names = "key-id", "timestamp", "signature"
            headers = tuple((f"cabstand-response-{name}", value) for name, value in zip(names, values, strict=True))

        async def answer(_request: bytes, call: Any) -> bytes:
            await call.send_initial_metadata(headers)
            return b""

        async def stream(_requests: AsyncIterator[bytes], call: Any) -> AsyncIterator[bytes]:
            await call.send_initial_metadata(headers)
            yield b""

        async def first(_request: bytes, call: Any) -> AsyncIterator[bytes]:
            await call.send_initial_metadata(headers)
            yield b""

        if details.method.endswith("rpc_session_stream"):
            return grpc.stream_stream_rpc_method_handler(stream)
        if details.method.endswith("rpc_inference_stream"):
            return grpc.unary_stream_rpc_method_handler(first)
        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.mark.parametrize(
    ("kid", "key", "stale", "problem"),
    [
        ("hoster-1", OWN, False, None),
        (None, OWN, False, "unsigned"),
        ("hoster-1", STRANGE, False, ""),
        ("hoster-2", STRANGE, False, "keys_outdated"),
        ("client-2", OWN, False, ""),
        ("old", OWN, False, "key_retired"),
        ("hoster-1", OWN, True, ""),
    ],
    ids=["a hoster's", "nobody's", "a stranger's", "an unknown server's", "a client's", "a retired key's", "older"],
)
async def test_an_answer_counts_where_a_server_has_signed_it(
    files: tuple[Path, Path], kid: str | None, key: Ed25519PrivateKey, stale: bool, problem: str | None
) -> None:
    server = aio.server()
    server.add_generic_rpc_handlers([Signing(kid, key, stale)])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    credentials = credentials_of(None, None, None, files[0], "signature", files[1])
    transport = Transport(credentials, None, KeepAlive(), Timeouts(), 1 << 20)

    async def unary() -> None:
        await transport.unary(
            address, f"{HOSTER}rpc_session_status", hoster_pb2.SessionStatusRequest(), hoster_pb2.SessionStatusResponse
        )

    async def first() -> None:
        await transport.first_of_stream(
            address,
            f"{HOSTER}rpc_inference_stream",
            hoster_pb2.InferenceStreamRequest(),
            hoster_pb2.InferenceStreamResponse,
        )

    async def session() -> None:
        channel = await transport.session(address, hoster_pb2.SessionStreamRequest())
        try:
            await channel.read(10)
        finally:
            channel.cancel()

    try:
        for ask in (unary, first, session):
            if problem is None:
                await ask()
                continue
            with pytest.raises(CabstandError) as caught:
                await ask()
            assert (caught.value.reason, caught.value.metadata.get("problem", "")) == ("NODE_BAD_REPLY", problem)
    finally:
        await transport.close()
        await server.stop(None)


def test_only_what_is_signed_is_answered_with_a_signature(files: tuple[Path, Path]) -> None:
    key, keys = files
    for options in (
        {"key": key, "verify_servers": keys},
        {"token": "a.b.c", "verify_servers": keys},
        {"key": key, "scheme": "signature", "verify_servers": key},
        {"key": key, "scheme": "signature", "verify_servers": keys.with_name("not.json")},
    ):
        with pytest.raises(CabstandError) as caught:
            cabstand.connect("a:1", **options)
        assert caught.value.metadata["field"] == "verify_servers"
