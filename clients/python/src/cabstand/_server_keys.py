"""Public keys of a subnet: an answer is a server's if one of those signed it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cabstand._errors import CabstandError, invalid

_FRESH = 1.0
"""The file is looked at again after so long, in seconds."""


@dataclass(frozen=True)
class _Key:
    roles: tuple[str, ...]
    public: Any
    since: float
    before: float

    @property
    def is_valid(self) -> bool:
        return self.since <= time.time() <= self.before


class ServerKeys:
    """`keys.json` of a subnet, read again when it changes; what was read before stays in force where that fails."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._changed = 0
        self._looked = 0.0
        self._keys: dict[str, _Key] = {}
        self._load()

    def verify(self, method: str, nonce: str, headers: Iterable[tuple[str, Any]]) -> None:
        """Raises NODE_BAD_REPLY: whoever answered has not proved to be a server of this subnet. What makes the answer
        fresh is the nonce, which is random and this request's own."""
        from cryptography.exceptions import InvalidSignature

        given = {name: value for name, value in headers if isinstance(value, str)}
        kid, timestamp, signature = (
            given.get(f"cabstand-response-{one}") for one in ("key-id", "timestamp", "signature")
        )
        if not kid or not timestamp or not signature:
            raise _unproven("it did not sign its response", "unsigned")
        key = self._find(kid)
        if key is None:
            raise _unproven("its key is not in the keys.json here: copy the newest one here", "keys_outdated")
        if not key.is_valid:
            raise _unproven("its key is not valid now: give it its newest key file, and restart it", "key_retired")
        if not set(_server_roles(method)) & set(key.roles):
            raise _unproven("its key is not a server's")
        text = "\n".join(["cabstand-response-v1", kid, method, nonce, timestamp])
        try:
            key.public.verify(_decode(signature), text.encode())
        except (InvalidSignature, ValueError):
            raise _unproven("the signature of its response is wrong") from None

    def _find(self, kid: str) -> _Key | None:
        if time.monotonic() - self._looked >= _FRESH:
            with contextlib.suppress(CabstandError):
                self._load()
        return self._keys.get(kid)

    def _load(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self._looked = time.monotonic()
        try:
            changed = self._path.stat().st_mtime_ns
            if changed == self._changed:
                return
            entries = json.loads(self._path.read_text())["keys"]
            keys = {
                str(one["kid"]): _Key(
                    tuple(str(role) for role in one["roles"]),
                    Ed25519PublicKey.from_public_bytes(_decode(one["x"])),
                    _time(one.get("not_before"), 0.0),
                    _time(one.get("not_after"), float("inf")),
                )
                for one in entries
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise invalid(
                "verify_servers", str(self._path), f"keys.json as `cabstand keys` makes it ({error!r})"
            ) from error
        self._keys, self._changed = keys, changed


def _time(text: str | None, otherwise: float) -> float:
    return otherwise if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _server_roles(method: str) -> tuple[str, ...]:
    """A client's key must not pass for a server's."""
    if ".RouterService/" in method:
        return ("router",)
    return ("hoster",) if ".HosterService/" in method else ("router", "hoster")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _unproven(why: str, problem: str = "") -> CabstandError:
    metadata = {"problem": problem} if problem else {}
    return CabstandError("NODE_BAD_REPLY", f"the server did not prove who it is: {why}", metadata=metadata)
