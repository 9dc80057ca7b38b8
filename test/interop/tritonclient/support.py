"""What the checks share: where the subnet is, what its models get, and what must come back."""

import json
import os
import wave
from pathlib import Path

import numpy as np
from checking import check, metric
from tritonclient.utils import InferenceServerException

SUBNET = json.loads(os.environ["SUBNET"])
ASSETS = Path(SUBNET["assets"])
GATEWAY = SUBNET.get("gateway")
# What is asked: two hosters, or the gateway before them.
FIRST, SECOND = [GATEWAY["address"]] * 2 if GATEWAY else SUBNET["hosters"][:2]
FIRST_HTTP, SECOND_HTTP = [GATEWAY["http"]] * 2 if GATEWAY else SUBNET["http"][:2]
FRAME = 512
SECONDS = 30


def only_at_hosters(function):
    """What a gateway does not do, or does otherwise."""
    return function if GATEWAY else check(function)


def only_at_gateways(function):
    return check(function) if GATEWAY else function


def open_sessions(admin):
    return metric(admin, "cabstand_open_sessions")


def bearer(token):
    return {"authorization": f"Bearer {token}"}


CLIENT, OTHER, ADMIN = (bearer(SUBNET[name]) for name in ("token", "other_token", "admin_token"))


def speech(frames):
    with wave.open(str(ASSETS / "speech.wav")) as file:
        pcm = np.frombuffer(file.readframes(FRAME * frames), dtype="<i2")
    return pcm.astype(np.float32) / 32768


def expected(frames):
    file = json.loads((ASSETS / "speech-probabilities.json").read_text())
    return np.array(file["speech_probability"][:frames], dtype=np.float32)


def probabilities(result):
    return result.as_numpy("speech_probability").ravel()


def refused(outcome, status, words):
    try:
        outcome()
    except InferenceServerException as error:
        assert error.status() == status, error
        assert words in error.message(), error
        return
    raise AssertionError(f"should have been refused with {status}")
