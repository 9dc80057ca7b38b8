"""Options of a client, with their defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from cabstand._errors import CabstandError, invalid


@dataclass(frozen=True)
class TLSConfig:
    """Certificates, as PEM files. They are read when a connection is made."""

    ca: str | os.PathLike[str] | None = None
    """Authorities whose certificates are trusted. Default: those that gRPC trusts."""
    cert: str | os.PathLike[str] | None = None
    """One's own certificate, where servers want one (mTLS); with `key`."""
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None
    """Name to check certificates against, where it is not the address."""

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Authorities, private key and certificate."""
        if (self.cert is None) != (self.key is None):
            raise invalid("tls", "one of cert and key", "both, or neither")
        try:
            ca, key, cert = (
                None if path is None else Path(path).read_bytes() for path in (self.ca, self.key, self.cert)
            )
        except OSError as error:
            raise CabstandError("CONFIG_INVALID", f"tls: {error}") from error
        return ca, key, cert


@dataclass(frozen=True)
class KeepAlive:
    """Pings that find a peer which stands still, or a network that says nothing."""

    time: float = 2.0
    """Seconds of silence before a ping."""
    timeout: float = 3.0
    """Seconds until a peer that has not answered is given up."""

    def __post_init__(self) -> None:
        for name in ("time", "timeout"):
            if not 0.001 <= getattr(self, name) <= 3600:
                raise invalid(f"keepalive.{name}", getattr(self, name), "0.001 to 3600 seconds")


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for what, in seconds; `math.inf` switches a deadline off."""

    first: float = 10
    """From sending a turn to its first record on one hoster; then the next hoster is tried."""
    stall: float = 10
    """Between two records, or five times the longest wait so far, whichever is longer."""
    place: float = 30
    """From the start of a session's first turn to its first record, all hosters tried."""
    close: float = 2
    """Goodbyes: closing a session, cancelling a turn."""
    write: float = 30
    """How long `send` of a live turn waits for room because nobody reads its chunks."""
    recover: float = 30
    """How long a durable session whose hoster is lost looks for one to go on with."""
    reattach: float = 0.5
    """How long the hoster of a broken stream has to take the session up again, before another one does."""
    acquire: float = 5
    """One call to one router, or a short one to a hoster."""
    connect: float = 3
    """For a connection to come up."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not (isinstance(value, (int, float)) and value > 0):
                raise invalid(f"timeouts.{one.name}", value, "a number of seconds above 0")


@dataclass(frozen=True)
class SessionOptions:
    """What a session is; `Client.session` documents it."""

    model: str
    id: str
    named: bool
    durable: bool
    digest: str
    priority: int
    allow: tuple[str, ...]
    block: tuple[str, ...]
    max_replay_bytes: int
    max_buffered: int
    timeouts: Timeouts
    on_event: Callable[[str, dict[str, object]], None] | None = None


_SESSION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check_session(options: SessionOptions) -> SessionOptions:
    if not isinstance(options.model, str) or not options.model:
        raise invalid("model", options.model, "the name of a model")
    if not _SESSION_ID.fullmatch(options.id) or options.id.startswith("anonymous-"):
        raise invalid("id", options.id, "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with anonymous-")
    if not isinstance(options.priority, int) or not 0 <= options.priority <= 9:
        raise invalid("priority", options.priority, "0 to 9")
    if options.max_replay_bytes < 0:
        raise invalid("max_replay_bytes", options.max_replay_bytes, "at least 0")
    if options.max_buffered < 1:
        raise invalid("max_buffered", options.max_buffered, "at least 1")
    return options


def addresses(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """`host:port`, one or more; text with commas is a list."""
    listed = given.split(",") if isinstance(given, str) else list(given)
    found = tuple(one.strip() for one in listed if isinstance(one, str) and one.strip())
    for one in found:
        if "://" in one or not re.search(r":\d{1,5}$", one):
            raise invalid(name, one, "host:port")
    return found
