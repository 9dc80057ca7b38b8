"""Credentials: what each call carries to prove who it is from."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import math
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from cabstand._errors import CabstandError, invalid
from cabstand._server_keys import ServerKeys

TokenProvider = Callable[[], "str | Awaitable[str]"]
Headers = list[tuple[str, str]]
Verifier = Callable[[Iterable[tuple[str, Any]]], None]
"""Raises NODE_BAD_REPLY for headers of an answer that no server has signed."""

_HOST_PORT = re.compile(r":\d{1,5}$")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_MOST_CORRECTION = 24 * 3600.0
_MOST_SERVERS = 1024


class Credentials(Protocol):
    """What a call is given: headers for one call to one server."""

    async def headers(self, method: str, audience: str, message: bytes | None) -> Headers:
        """`message` is what is sent, serialized; None for a call that streams its requests."""
        ...

    async def renew(self, error: CabstandError, audience: str) -> bool:
        """A server refused them. Answers whether other ones may do."""
        ...

    def verifier(self, method: str, sent: Headers) -> Verifier | None:
        """What the headers of an answer have to pass, of a call that these were sent with; None for nothing."""
        ...


def normalize_audience(audience: str) -> str:
    """One spelling for `host:port`: lower case, one name for all spellings of loopback."""
    lower = audience.strip().lower()
    host, colon, port = lower.rpartition(":")
    if not colon:
        return lower
    if host.startswith("[") and host.endswith("]"):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
            host = str(address.ipv4_mapped) if address.ipv4_mapped is not None else f"[{address.compressed}]"
        except ValueError:
            pass
    return f"{'localhost' if host in _LOOPBACK else host}:{port}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token: str) -> dict[str, Any]:
    """What a token says of itself, unverified; empty for what is no JSON Web Token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(_decode(parts[1]))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def check_audience(token: str, audience: str) -> None:
    """A server that gets a token for another one could use it there. What cannot be read, servers judge."""
    named = claims_of(token).get("aud") or []
    named = [named] if isinstance(named, str) else named
    whole_subnet = not all(isinstance(one, str) and _HOST_PORT.search(one) for one in named)
    wanted = normalize_audience(audience)
    if not named or whole_subnet or any(normalize_audience(one) == wanted for one in named):
        return
    raise CabstandError(
        "CREDENTIALS_AUDIENCE",
        f"the token is for {', '.join(named)}, not for {audience}, so it is not sent there: make one with "
        f"`cabstand keys token NAME --audience {audience}`, several where several servers are called, or use a key",
        metadata={"got": ",".join(named), "expected": audience},
    )


class TokenCredentials:
    """A bearer token that somebody else made."""

    def __init__(self, source: TokenProvider, fixed: bool = False) -> None:
        self._source = source
        self._fixed = fixed
        self._token: str | None = None
        self._replace_at = math.inf

    async def headers(self, method: str, audience: str, message: bytes | None) -> Headers:
        if self._token is None or (not self._fixed and time.time() >= self._replace_at):
            await self._load()
        token = self._token or ""
        check_audience(token, audience)
        return [("authorization", f"Bearer {token}")]

    async def renew(self, error: CabstandError, audience: str) -> bool:
        if self._fixed:
            return False
        refused = self._token
        await self._load()
        return self._token != refused

    def verifier(self, method: str, sent: Headers) -> Verifier | None:
        return None

    async def _load(self) -> None:
        given = self._source()
        token = given if isinstance(given, str) else await given
        if not isinstance(token, str) or not token.strip():
            raise CabstandError("CREDENTIALS_MISSING", "the source of tokens gave none")
        # Files end in a newline, which no header may have.
        self._token = token.strip()
        expires = claims_of(self._token).get("exp")
        self._replace_at = expires - 30 if isinstance(expires, (int, float)) else math.inf


def token_file(path: str | os.PathLike[str]) -> TokenCredentials:
    """A token from a file, which is read again when the token is about to end, or is refused."""

    async def read() -> str:
        try:
            return await asyncio.to_thread(Path(path).read_text)
        except OSError as error:
            raise CabstandError("CREDENTIALS_MISSING", f"the token file cannot be read: {error}") from error

    return TokenCredentials(read)


class KeyCredentials:
    """One's own key file: short-lived tokens that are made from it, one for each server, or a signature for
    each request."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        scheme: Literal["token", "signature"] = "token",
        *,
        lifetime: float = 300,
        stream_lifetime: float = 3600,
        issuer: str | None = None,
        servers: ServerKeys | None = None,
    ) -> None:
        if scheme not in ("token", "signature"):
            raise invalid("scheme", scheme, "token or signature")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            file = json.loads(Path(path).read_text())
            self._private = Ed25519PrivateKey.from_private_bytes(_decode(file["d"]))
            self._id: str = str(file["kid"])
            self._principal: str = str(file["principal"])
            self._roles: list[str] = [str(role) for role in file["roles"]]
        except OSError as error:
            raise CabstandError("CREDENTIALS_MISSING", f"the key file cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CabstandError(
                "CREDENTIALS_MALFORMED",
                f"{path} is no key file of a member, as `cabstand keys` writes them: {error!r}",
            ) from error
        self._scheme = scheme
        self._lifetime = lifetime
        self._stream_lifetime = stream_lifetime
        self._issuer = issuer
        self._servers = servers
        self._tokens: dict[str, tuple[str, float]] = {}
        self._offsets: dict[str, float] = {}

    async def headers(self, method: str, audience: str, message: bytes | None) -> Headers:
        server = normalize_audience(audience)
        now = time.time() + self._offsets.get(server, 0.0)
        if self._scheme == "signature":
            return self._signed(method, audience.lower(), message, now)
        # A stream ends when the token ends with which it began.
        if message is None:
            return [("authorization", f"Bearer {self._mint(server, now, self._stream_lifetime)}")]
        token, until = self._tokens.get(server, ("", 0.0))
        if now >= until:
            if len(self._tokens) >= _MOST_SERVERS:
                self._tokens.clear()
            token = self._mint(server, now, self._lifetime)
            self._tokens[server] = token, now + self._lifetime - min(30.0, self._lifetime / 4)
        return [("authorization", f"Bearer {token}")]

    async def renew(self, error: CabstandError, audience: str) -> bool:
        server = normalize_audience(audience)
        self._tokens.pop(server, None)
        told = error.metadata.get("server_time_ms", "")
        if told.lstrip("-").isdigit():
            offset = int(told) / 1000 - time.time()
            # More is more likely a lie than a clock.
            if abs(offset) <= _MOST_CORRECTION:
                self._offsets[server] = offset
        return True

    def verifier(self, method: str, sent: Headers) -> Verifier | None:
        servers = self._servers
        if servers is None:
            return None
        nonce = dict(sent)["cabstand-nonce"]
        return lambda headers: servers.verify(method, nonce, headers)

    def _mint(self, server: str, now: float, lifetime: float) -> str:
        issued = math.floor(now)
        claims: dict[str, object] = {
            "sub": self._principal,
            "aud": server,
            "roles": self._roles,
            "iat": issued,
            "nbf": issued,
            "exp": math.ceil(now + lifetime),
            "jti": secrets.token_hex(16),
        }
        if self._issuer is not None:
            claims["iss"] = self._issuer
        header = {"alg": "EdDSA", "kid": self._id, "typ": "JWT"}
        text = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        return f"{text}.{_encode(self._private.sign(text.encode()))}"

    def _signed(self, method: str, audience: str, message: bytes | None, now: float) -> Headers:
        timestamp = str(int(now * 1000))
        nonce = _encode(os.urandom(16))
        body = "STREAM" if message is None else hashlib.sha256(message).hexdigest()
        text = "\n".join(["cabstand-request-v1", self._id, method, audience, timestamp, nonce, body])
        return [
            ("cabstand-key-id", self._id),
            ("cabstand-audience", audience),
            ("cabstand-timestamp", timestamp),
            ("cabstand-nonce", nonce),
            ("cabstand-signature", _encode(self._private.sign(text.encode()))),
        ]


class NoCredentials:
    """For subnets without keys, which are on one machine."""

    async def headers(self, method: str, audience: str, message: bytes | None) -> Headers:
        return []

    async def renew(self, error: CabstandError, audience: str) -> bool:
        return False

    def verifier(self, method: str, sent: Headers) -> Verifier | None:
        return None


def credentials_of(
    token: str | None,
    token_path: str | os.PathLike[str] | None,
    token_provider: TokenProvider | None,
    key: str | os.PathLike[str] | None,
    scheme: Literal["token", "signature"],
    verify_servers: str | os.PathLike[str] | None = None,
) -> Credentials:
    given = {"token": token, "token_file": token_path, "token_provider": token_provider, "key": key}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise invalid("credentials", " and ".join(named), "one of token, token_file, token_provider and key")
    if verify_servers is not None and (key is None or scheme != "signature"):
        raise invalid("verify_servers", str(verify_servers), "a key, and scheme `signature`: only that is answered so")
    if token is not None:
        text = token
        return TokenCredentials(lambda: text, fixed=True)
    if token_path is not None:
        return token_file(token_path)
    if token_provider is not None:
        return TokenCredentials(token_provider)
    if key is not None:
        servers = None if verify_servers is None else ServerKeys(verify_servers)
        return KeyCredentials(key, scheme, servers=servers)
    return NoCredentials()
