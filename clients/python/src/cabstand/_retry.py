"""What to do about an error, how long to wait before it, and how often at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cabstand._errors import CabstandError, invalid


@dataclass(frozen=True)
class RetryConfig:
    """How a failed turn is tried again before its first record, and how a lost session is looked for."""

    attempts: int = 6
    """Hosters tried for one turn before its first record, the first one included."""
    initial: float = 0.05
    """Ceiling of the first pause in seconds; pauses are drawn between 0 and theirs."""
    multiplier: float = 2.0
    """Growth of the ceiling with each attempt."""
    max_interval: float = 2.0
    """Ceiling of all pauses in seconds; a hoster that asks for longer gets it."""
    budget: float = 100
    """Retries that may be saved up, over all sessions of a client."""
    budget_per_second: float = 10
    """Retries gained a second."""
    budget_per_success: float = 0.2
    """Retries gained with each turn that started."""

    def __post_init__(self) -> None:
        for name, least in (("attempts", 1), ("initial", 0), ("multiplier", 1), ("max_interval", 0)):
            if not getattr(self, name) >= least:
                raise invalid(f"retry.{name}", getattr(self, name), f"at least {least}")
        for name in ("budget", "budget_per_second", "budget_per_success"):
            if not getattr(self, name) >= 0:
                raise invalid(f"retry.{name}", getattr(self, name), "at least 0")

    def pause(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds before another attempt after `attempt` that failed, from 0: full jitter."""
        ceiling = min(self.max_interval, self.initial * self.multiplier ** min(max(0, attempt), 64))
        return draw() * ceiling


class Budget:
    """A bucket of retries shared by all sessions of a client: when everything fails, the load that retries add
    stays bounded."""

    def __init__(self, config: RetryConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._left = config.budget
        self._at = clock()

    def take(self) -> bool:
        """Takes one retry; False if none is left."""
        now = self._clock()
        self._add((now - self._at) * self._config.budget_per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def succeeded(self) -> None:
        self._add(self._config.budget_per_success)

    def _add(self, gained: float) -> None:
        self._left = min(self._config.budget, self._left + gained)


Phase = Literal["placing", "opening", "again", "streaming"]
"""What happened before the error: no hoster was found; a hoster has the turn but sent no record of it; one that
has the session refused a later turn; records of the turn were delivered."""


@dataclass(frozen=True)
class Decision:
    action: Literal["raise", "elsewhere", "wait", "resume"]
    reattach: bool = False
    """With `resume`: the hoster may still have the session."""


_RAISE = Decision("raise")
_ELSEWHERE = Decision("elsewhere")
_WAIT = Decision("wait")


def decide(
    error: CabstandError, phase: Phase, *, attempts: int = 0, most: int = 1, resumable: bool = False
) -> Decision:
    """What to do about an error: nothing but the table of reasons decides it."""
    # Records are out. Going on with them needs a resume; starting again would send them twice.
    if phase == "streaming":
        return _decide_resume(error) if resumable else _RAISE
    if phase == "again" and resumable:
        # A hoster that wants to go takes no turn, and will not later; nor does one that lost its model.
        for_good = error.reason in ("DRAINING", "MODEL_FAILED")
        if error.error_class != "overload" or for_good:
            return _decide_resume(error)
    if attempts >= most:
        return _RAISE
    opening = phase == "opening"
    match error.error_class:
        case "caller":
            # A hoster knows only its own models: of those named by address another may have this one.
            return _ELSEWHERE if opening and (error.reason == "MODEL_UNKNOWN" or overtaken(error)) else _RAISE
        case "auth":
            return _ELSEWHERE if opening and trust_ended(error) else _RAISE
        case "overload":
            # No room is no failure: the node is left alone for a while, not blamed.
            return _ELSEWHERE if opening else _WAIT
        case "node":
            if opening:
                return _ELSEWHERE
            # No router answers: one may come back. Otherwise the session's state went down with its node.
            return _WAIT if phase == "placing" else _RAISE
        case "session":
            # Nothing has been delivered, so there is nothing to go on from: start elsewhere.
            return _ELSEWHERE if opening else _RAISE
        case _:
            return _RAISE


def gone_at_hoster(error: CabstandError) -> bool:
    """A session that was lost at its hoster, but not to its consumer."""
    if error.reason == "SESSION_ENDED":
        # Whoever closed it meant it; what the hoster ended for its own reasons goes on.
        return error.metadata.get("end_reason") in ("timed_out", "evicted", "migrated", "lost")
    return error.reason in (
        # Sessions number turns and positions themselves: the hoster's session is of another time.
        "TURN_OUT_OF_ORDER",
        "POSITION_INVALID",
        "SESSION_UNKNOWN",
        "SESSION_EVICTED",
        "SESSION_LOST",
        "INCARNATION_UNKNOWN",
    )


def overtaken(error: CabstandError) -> bool:
    """The hoster took a call for a newer one that this consumer had given up, and that came late."""
    return error.reason == "CANCELLED" and error.metadata.get("replaced_by") == "same_consumer"


def commands_wait(error: CabstandError) -> bool:
    """The hoster of a session has as many commands of it as may wait, perhaps of whoever had the session before: it
    takes others when its reader has read on. The session is well, and nowhere else."""
    return error.reason == "RATE_LIMITED" and error.metadata.get("limited_by") == "commands_waiting"


def trust_ended(error: CabstandError) -> bool:
    """An open call whose credentials are not good any more. The node is well, and may take fresh ones."""
    return error.reason == "CREDENTIALS_EXPIRED" and error.metadata.get("open_call") == "ended"


def _decide_resume(error: CabstandError) -> Decision:
    lost_for_good = error.metadata.get("problem") in ("no_survival", "not_deterministic")
    if error.reason == "SESSION_LOST" and lost_for_good:
        return _RAISE
    if gone_at_hoster(error):
        return Decision("resume")
    if overtaken(error) or trust_ended(error) or commands_wait(error):
        return Decision("resume", reattach=True)
    if error.error_class in ("session", "overload"):
        return Decision("resume")
    if error.error_class == "node":
        # The engine's death took the session with it; anything else may be the connection only.
        return Decision("resume", reattach=error.reason not in ("ENGINE_CRASHED", "ENGINE_STALLED"))
    return _RAISE


def is_final(error: CabstandError) -> bool:
    """Whether no other hoster would say anything else to a resume."""
    if overtaken(error):
        return False
    if error.reason in ("MODEL_UNKNOWN", "SESSION_EXISTS", "SESSION_ENDED", "NODE_UNKNOWN"):
        return False
    if error.reason in ("SESSION_LOST", "CHECKPOINT_INVALID"):
        # What a hoster may lack for a checkpoint that another one takes.
        return error.metadata.get("problem") not in (
            "other_weights",
            "unknown_key",
            "expired_key",
            "other_version",
            "code_changed",
            "runtime_differs",
        )
    return error.error_class in ("caller", "auth", "fatal")
