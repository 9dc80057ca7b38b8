"""What a session knows of itself; what opens, runs and recovers it shares this."""

from __future__ import annotations

import os
from typing import Literal

from cabstand._channel import SessionChannel
from cabstand._errors import CabstandError
from cabstand._guard import PositionGuard
from cabstand._options import SessionOptions
from cabstand._placement import Node
from cabstand._replay import Continuation
from cabstand._wire import model_pb2, session_pb2

State = Literal["idle", "open", "recovering", "ended", "failed", "closed"]
"""No hoster has it; one has it; its stream broke; its model's only turn is over; it is lost; it was closed."""


class Standing:
    def __init__(self, options: SessionOptions) -> None:
        self.state: State = "idle"
        self.node: Node | None = None
        """The hoster that has it, or had it last."""
        self.channel: SessionChannel | None = None
        self.error: CabstandError | None = None
        self.session_id = options.id
        self.attempts = 0
        """To open it at a hoster."""
        self.turn = 0
        """The number of the turn that runs, or of the next one."""
        self.epoch = 1
        self.served_epoch = 0
        """That of the stream by which a hoster took it up last; 0 before any did."""
        self.highest_epoch = 1
        """The highest that any hoster was told."""
        self.digest = ""
        """Weights of the hoster that opened it: another one must have the same. Empty if unknown."""
        self.guard = PositionGuard()
        self.continuation = Continuation(options.max_replay_bytes)
        self.survival: int = model_pb2.SURVIVAL_UNSPECIFIED
        self.claims = False
        """Another process had it, and may have gone on since: whatever its epoch, this one takes over."""
        self.joins = False
        """It is taken over by its name; true until a hoster has said where it is."""
        self.pending = False
        """A turn was under way in the process that had it before."""
        self._owner = os.urandom(16)

    @property
    def is_module(self) -> bool:
        return self.survival != model_pb2.SURVIVAL_UNSPECIFIED

    def epoch_message(self) -> session_pb2.Epoch:
        return session_pb2.Epoch(counter=self.epoch, owner=self._owner)

    def raise_epoch(self) -> None:
        """A hoster that is to take over is told an epoch of its own."""
        self.highest_epoch += 1
        self.epoch = self.highest_epoch

    def claim_above(self, epoch: int) -> None:
        """Whoever has it under that epoch is to lose it."""
        self.highest_epoch = max(self.highest_epoch, epoch) + 1
        self.epoch = self.highest_epoch

    def claims_after(self, error: CabstandError) -> bool:
        """Takes the session over where a hoster fenced this process off for the one that had it before."""
        if error.reason != "EPOCH_FENCED" or not self.claims:
            return False
        current = error.metadata.get("current_epoch", "")
        if not current.isdigit() or int(current) < self.highest_epoch:
            return False
        self.claim_above(int(current))
        return True

    def joined(self, position: int) -> None:
        """A hoster says where the session is that this process takes over."""
        if not self.joins:
            return
        self.joins = False
        self.guard.next = position
        # What it was given before, nobody told this process.
        if self.survival == model_pb2.SURVIVAL_REPLAY and position > 0:
            self.continuation.missed(position)

    def opened_on(self, digest: str) -> None:
        """A hoster says with which weights it goes on. Raises SESSION_LOST where records of other ones have
        arrived: the two must not be mixed."""
        if self.digest not in ("", digest) and self.guard.next > 0:
            raise CabstandError(
                "SESSION_LOST",
                "the hoster has other weights of the model than the session began with",
                metadata={"problem": "other_weights", "digest": digest, "expected": self.digest},
            )
        self.digest = digest

    def opened(self, node: Node, channel: SessionChannel | None) -> None:
        """A hoster has it."""
        self.node = node
        self.channel = channel
        self.served_epoch = self.epoch
        self.state = "open"

    def drop_channel(self, error: CabstandError | None = None) -> None:
        """The session's stream is of no use any more; its hoster still has it."""
        if self.channel is not None:
            self.channel.cancel(error)
            self.channel = None

    def broke(self) -> None:
        """The stream of the hoster that has it broke, or is left."""
        if self.state == "open":
            self.drop_channel()
            self.state = "recovering"
