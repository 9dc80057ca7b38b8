"""Tokens and signatures, from a key file or given."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import cabstand
from cabstand._auth import KeyCredentials, TokenCredentials, check_audience, claims_of, normalize_audience, token_file

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "libs/testing/conformance/signatures.json").read_text()
)
"""What clients of all languages are held to: docs/conformance.md."""


@pytest.fixture
def key_file(tmp_path: Path) -> tuple[Path, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    raw = base64.urlsafe_b64encode(private.private_bytes_raw()).rstrip(b"=").decode()
    path = tmp_path / "client.key.json"
    path.write_text(json.dumps({"kid": "k1", "d": raw, "principal": "client", "roles": ["client"]}))
    return path, private


class TestCredentials:
    async def test_tokens_are_for_one_server_and_short_lived(self, key_file: tuple[Path, Ed25519PrivateKey]) -> None:
        path, private = key_file
        credentials = KeyCredentials(path)
        ((_, value),) = await credentials.headers("/m", "127.0.0.1:1", b"")
        token = value.removeprefix("Bearer ")
        claims = claims_of(token)
        assert (claims["sub"], claims["aud"], claims["roles"]) == ("client", "localhost:1", ["client"])
        assert 290 < claims["exp"] - claims["iat"] <= 301
        head, body, signature = token.split(".")
        private.public_key().verify(base64.urlsafe_b64decode(signature + "=="), f"{head}.{body}".encode())
        assert await credentials.headers("/m", "localhost:1", b"") == [("authorization", value)], "it is kept"
        assert await credentials.headers("/m", "localhost:2", b"") != [("authorization", value)]

    async def test_a_signature_covers_method_server_time_and_message(
        self, key_file: tuple[Path, Ed25519PrivateKey]
    ) -> None:
        path, private = key_file
        for message, body in ((b"abc", hashlib.sha256(b"abc").hexdigest()), (None, "STREAM")):
            headers = dict(await KeyCredentials(path, "signature").headers("/a/b", "Host:1", message))
            text = "\n".join(
                [
                    "cabstand-request-v1",
                    "k1",
                    "/a/b",
                    "host:1",
                    headers["cabstand-timestamp"],
                    headers["cabstand-nonce"],
                    body,
                ]
            )
            signature = base64.urlsafe_b64decode(headers["cabstand-signature"] + "==")
            private.public_key().verify(signature, text.encode())

    @pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: str(vector["name"]))
    async def test_a_signature_is_that_of_all_languages(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vector: dict[str, Any]
    ) -> None:
        path = tmp_path / "client.key.json"
        path.write_text(json.dumps(VECTORS["key"]))
        monkeypatch.setattr("time.time", lambda: vector["timestamp"] / 1000 + 0.0001)
        monkeypatch.setattr("os.urandom", lambda _: base64.urlsafe_b64decode(vector["nonce"] + "=="))
        message = None if vector["body"] is None else bytes.fromhex(vector["body"])
        headers = await KeyCredentials(path, "signature").headers(vector["method"], vector["audience"], message)
        assert dict(headers) == {
            "cabstand-key-id": VECTORS["key"]["kid"],
            "cabstand-audience": vector["audience"],
            "cabstand-timestamp": str(vector["timestamp"]),
            "cabstand-nonce": vector["nonce"],
            "cabstand-signature": vector["signature"],
        }

    async def test_a_clock_that_is_off_is_corrected_for_that_server(
        self, key_file: tuple[Path, Ed25519PrivateKey]
    ) -> None:
        credentials = KeyCredentials(key_file[0], "signature")
        before = dict(await credentials.headers("/m", "a:1", b""))
        later = int(before["cabstand-timestamp"]) + 3_600_000
        skew = cabstand.CabstandError("CLOCK_SKEW", metadata={"server_time_ms": str(later)})
        assert await credentials.renew(skew, "a:1")
        assert int(dict(await credentials.headers("/m", "a:1", b""))["cabstand-timestamp"]) >= later
        assert int(dict(await credentials.headers("/m", "b:1", b""))["cabstand-timestamp"]) < later

    async def test_a_token_file_is_trimmed_and_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("one\n")
        credentials = token_file(path)
        refused = cabstand.CabstandError("CREDENTIALS_EXPIRED")
        assert await credentials.headers("/m", "a:1", b"") == [("authorization", "Bearer one")]
        assert not await credentials.renew(refused, "a:1")
        path.write_text("two\n")
        assert await credentials.renew(refused, "a:1")
        assert await credentials.headers("/m", "a:1", b"") == [("authorization", "Bearer two")]

    async def test_a_provider_may_be_awaited(self) -> None:
        async def give() -> str:
            return "given"

        assert await TokenCredentials(give).headers("/m", "a:1", b"") == [("authorization", "Bearer given")]

    def test_a_token_is_not_sent_to_a_server_that_it_does_not_name(self) -> None:
        def token(audience: object) -> str:
            body = base64.urlsafe_b64encode(json.dumps({"aud": audience}).encode()).rstrip(b"=").decode()
            return f"e30.{body}.x"

        check_audience(token(["a:1", "127.0.0.1:5"]), "localhost:5")
        check_audience(token("subnet"), "anything:1")
        check_audience("opaque", "anything:1")
        with pytest.raises(cabstand.AuthError, match="cabstand keys token"):
            check_audience(token("a:1"), "b:1")

    def test_one_kind_of_credentials(self) -> None:
        with pytest.raises(cabstand.CallerError, match="token and key"):
            cabstand.connect("a:1", token="t", key="k")
        with pytest.raises(cabstand.AuthError, match="cannot be read"):
            cabstand.connect("a:1", key="/nowhere")

    @pytest.mark.parametrize(
        ("given", "wanted"),
        [("LOCALHOST:1", "localhost:1"), ("[::1]:2", "localhost:2"), ("[::ffff:10.0.0.1]:3", "10.0.0.1:3")],
    )
    def test_spellings_of_an_address(self, given: str, wanted: str) -> None:
        assert normalize_audience(given) == wanted
