"""Client of Cabstand: sessions of models on a subnet, which go on where a hoster fails."""

from cabstand._client import Client, connect
from cabstand._errors import (
    AuthError,
    CabstandError,
    CallerError,
    FatalError,
    NodeError,
    OverloadError,
    SessionError,
)
from cabstand._live_turn import LiveTurn
from cabstand._options import KeepAlive, Timeouts, TLSConfig
from cabstand._results import Chunk, Generation, Message, Skipped, TurnResult
from cabstand._retry import RetryConfig
from cabstand._session import Session
from cabstand._turn import Turn
from cabstand._view import View

__version__ = "0.1.0"

__all__ = [
    "AuthError",
    "CabstandError",
    "CallerError",
    "Chunk",
    "Client",
    "FatalError",
    "Generation",
    "KeepAlive",
    "LiveTurn",
    "Message",
    "NodeError",
    "OverloadError",
    "RetryConfig",
    "Session",
    "SessionError",
    "Skipped",
    "TLSConfig",
    "Timeouts",
    "Turn",
    "TurnResult",
    "View",
    "connect",
]
