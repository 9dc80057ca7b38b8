"""What the checks share: the subnet, its models' inputs, and what must come back.

SUBNET in the environment is JSON that tells where the subnet is; with-subnet.mjs starts one.
"""

import json
import os
import struct
import subprocess
import wave
from pathlib import Path

import grpc

import client
from cabstand.v1 import session_pb2

SUBNET = json.loads(os.environ["SUBNET"])
ASSETS = Path(SUBNET["assets"])
README = Path(__file__).parents[2] / "README.md"
FRAME = 512
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def call(method, request, token=None):
    return client.call(method, request, token or SUBNET["token"])


def acquire(model):
    return client.acquire(SUBNET["router"], model, SUBNET["token"])


def run(command, cwd=None):
    """What a program prints that must end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=client.SECONDS, cwd=cwd)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def refused(outcome, reason, code):
    """`outcome` must fail with this reason; answers the facts of the case."""
    try:
        outcome()
    except grpc.RpcError as error:
        info = client.error_info(error)
        assert info is not None, (error.code(), error.details())
        assert (info.domain, info.reason) == ("cabstand", reason), info
        assert error.code() == code, error.code()
        return dict(info.metadata)
    raise AssertionError(f"should have been refused with {reason}")


def samples(frames):
    with wave.open(str(ASSETS / "speech.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        return file.readframes(FRAME * frames)


def audio_int16(pcm):
    return client.tensor("audio", "int16", pcm, [len(pcm) // 2])


def audio_float32(pcm):
    count = len(pcm) // 2
    values = [value / 32768 for value in struct.unpack(f"<{count}h", pcm)]
    return client.tensor("audio", "float32", struct.pack(f"<{count}f", *values), [count])


def probability(record):
    (output,) = record.chunk.outputs
    assert output.name == "speech_probability"
    return struct.unpack("<f", output.data)[0]


def expected_probabilities(frames):
    file = json.loads((ASSETS / "speech-probabilities.json").read_text())
    return file["speech_probability"][:frames]


def close_to(values, wanted):
    assert len(values) == len(wanted), (len(values), len(wanted))
    for value, right in zip(values, wanted):
        assert abs(value - right) < 1e-4, (value, right)


def chunks(records, turn=0, first=0):
    """The records of a complete turn without its end; checks positions, turn and end."""
    assert [record.position for record in records] == list(range(first, first + len(records)))
    assert {record.turn for record in records} == {turn}
    *body, end = records
    assert end.WhichOneof("body") == "end_of_turn"
    assert end.end_of_turn.reason == session_pb2.END_REASON_COMPLETED, end
    # A generator's last step chooses the stop token, which is not emitted.
    assert end.end_of_turn.steps - len(body) in (0, 1), end
    return body
