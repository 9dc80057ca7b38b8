"""gRPC, with tritonclient as anybody would use it."""

import asyncio
import os
import queue
import signal
import time

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from support import (
    ADMIN,
    CLIENT,
    FIRST,
    FRAME,
    GATEWAY,
    OTHER,
    SECOND,
    SECONDS,
    SUBNET,
    bearer,
    check,
    expected,
    only_at_gateways,
    only_at_hosters,
    open_sessions,
    probabilities,
    speech,
)
from support import refused as refused_with


def audio(samples):
    given = triton.InferInput("audio", [len(samples)], "FP32")
    given.set_data_from_numpy(samples)
    return given


def text(prompt):
    given = triton.InferInput("prompt", [1], "BYTES")
    given.set_data_from_numpy(np.array([prompt.encode()], dtype=np.object_))
    return given


def client(address=FIRST):
    return triton.InferenceServerClient(address)


def refused(outcome, status, words):
    refused_with(outcome, f"StatusCode.{status}", words)


def vad(server, samples, headers=CLIENT, **more):
    return server.infer("silero-vad", [audio(samples)], headers=headers, **more)


class Stream:
    """One stream, and what comes on it."""

    def __init__(self, server, headers=CLIENT):
        self.server = server
        self.answers = queue.Queue()
        server.start_stream(lambda result, error: self.answers.put((result, error)), headers=headers)

    def send(self, model, inputs, **more):
        self.server.async_stream_infer(model, inputs, **more)

    def next(self):
        return self.answers.get(timeout=SECONDS)

    def until_final(self):
        """All answers of one request, the last of which says so."""
        results = []
        while True:
            result, error = self.next()
            assert error is None, error
            results.append(result)
            if result.get_response().parameters["triton_final_response"].bool_param:
                return results

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop_stream()


@check
def what_there_is():
    server = client()
    assert server.is_server_live(headers=CLIENT) and server.is_server_ready(headers=CLIENT)
    assert server.is_model_ready("g2p", headers=CLIENT)
    assert server.is_model_ready("g2p", "1", headers=CLIENT)
    assert not server.is_model_ready("g2p", "7", headers=CLIENT)
    assert not server.is_model_ready("nothing", headers=CLIENT)
    told = server.get_server_metadata(headers=CLIENT)
    assert told.name == "cabstand" and "sequence(string_id)" in told.extensions, told
    metadata = server.get_model_metadata("silero-vad", headers=CLIENT)
    assert [(one.name, one.datatype, list(one.shape)) for one in metadata.inputs] == [
        ("audio", "FP32", [-1])
    ], metadata
    config = server.get_model_config("silero-vad", headers=CLIENT).config
    assert config.max_batch_size == 0 and config.HasField("sequence_batching"), config
    assert server.get_model_config("g2p", headers=CLIENT).config.model_transaction_policy.decoupled
    index = {one.name: one.state for one in server.get_model_repository_index(headers=CLIENT).models}
    assert index["silero-vad"] == index["g2p"] == "READY", index


@check
def infer_is_right_at_both_hosters():
    samples, right = speech(60), expected(60)
    for address in (FIRST, SECOND):
        result = vad(client(address), samples, request_id="r-1")
        assert result.get_response().id == "r-1"
        assert np.abs(probabilities(result) - right).max() < 1e-4
        words = client(address).infer("g2p", [text("taxi")], headers=CLIENT)
        assert list(words.as_numpy("text")) == [b"T AE1 K S IY0"], words.as_numpy("text")
        assert words.as_numpy("token").dtype == np.int64


@check
def outputs_are_chosen():
    wanted = [triton.InferRequestedOutput("text")]
    result = client().infer("g2p", [text("taxi")], outputs=wanted, headers=CLIENT)
    assert [one.name for one in result.get_response().outputs] == ["text"]


@check
def infer_without_waiting():
    server, samples, right = client(), speech(30), expected(30)
    answers = queue.Queue()
    for number in range(20):
        server.async_infer(
            "silero-vad",
            [audio(samples)],
            lambda result, error: answers.put((result, error)),
            request_id=str(number),
            headers=CLIENT,
        )
    seen = set()
    for _ in range(20):
        result, error = answers.get(timeout=SECONDS)
        assert error is None, error
        seen.add(result.get_response().id)
        assert np.abs(probabilities(result) - right).max() < 1e-4
    assert len(seen) == 20


@check
def asyncio_client():
    async def run():
        server = triton_aio.InferenceServerClient(FIRST)
        try:
            calls = [
                server.infer("silero-vad", [audio(speech(10))], headers=CLIENT) for _ in range(10)
            ]
            for result in await asyncio.gather(*calls):
                assert np.abs(probabilities(result) - expected(10)).max() < 1e-4
        finally:
            await server.close()

    asyncio.run(run())


@check
def a_stream_has_an_answer_for_each_step():
    with Stream(client()) as stream:
        stream.send("silero-vad", [audio(speech(12))], request_id="a")
        results = stream.until_final()
        assert [one.get_response().id for one in results] == ["a"] * 12
        values = np.concatenate([probabilities(one) for one in results])
        assert np.abs(values - expected(12)).max() < 1e-4
        stream.send("g2p", [text("taxi")], enable_empty_final_response=True)
        results = stream.until_final()
        assert b"".join(one.as_numpy("text")[0] for one in results[:-1]) == b"T AE1 K S IY0"
        assert results[-1].as_numpy("text") is None


@check
def a_stream_goes_on_after_a_request_that_fails():
    with Stream(client()) as stream:
        stream.send("nothing", [audio(speech(1))], request_id="bad")
        result, error = stream.next()
        assert result is None and "MODEL_UNKNOWN" in error.message(), error
        stream.send("silero-vad", [audio(np.full(FRAME, 9, np.float32))])
        result, error = stream.next()
        assert result is None and "INPUT_OUT_OF_RANGE" in error.message(), error
        stream.send("silero-vad", [audio(speech(1))])
        assert len(stream.until_final()) == 1


def sequence(server, sequence_id, frames, whole):
    values = []
    for number, part in enumerate(np.split(speech(frames), frames)):
        result = vad(
            server,
            part,
            sequence_id=sequence_id,
            sequence_start=number == 0,
            sequence_end=number == frames - 1,
        )
        values.append(probabilities(result))
    assert np.array_equal(np.concatenate(values), whole), "not the bits of one request"


@check
def a_sequence_is_what_one_request_is():
    server = client()
    whole = probabilities(vad(server, speech(37)))
    for sequence_id in (42, 2**63 - 1, "a-name", "42"):
        sequence(server, sequence_id, 37, whole)


@check
def sequences_on_one_stream():
    whole = probabilities(vad(client(), speech(20)))
    values = {"left": [], "right": []}
    with Stream(client()) as stream:
        for number, part in enumerate(np.split(speech(20), 20)):
            for name in values:
                stream.send(
                    "silero-vad",
                    [audio(part)],
                    request_id=name,
                    sequence_id=name,
                    sequence_start=number == 0,
                    sequence_end=number == 19,
                )
        for _ in range(40):
            result, error = stream.next()
            assert error is None, error
            values[result.get_response().id].append(probabilities(result))
    for parts in values.values():
        assert np.array_equal(np.concatenate(parts), whole)


@check
def marks_of_sequences():
    server, part = client(), speech(1)
    refused(lambda: vad(server, part, sequence_id=5), "NOT_FOUND", "sequence_start")
    refused(lambda: vad(server, part, sequence_id=5, sequence_end=True), "NOT_FOUND", "does not run")
    first = probabilities(vad(server, part, sequence_id=5, sequence_start=True))
    second = probabilities(vad(server, part, sequence_id=5))
    assert not np.array_equal(first, second)
    # Of others, and at another hoster, it is another one.
    refused(lambda: vad(server, part, headers=OTHER, sequence_id=5), "NOT_FOUND", "does not run")
    if not GATEWAY:
        refused(lambda: vad(client(SECOND), part, sequence_id=5), "NOT_FOUND", "does not run")
    # A start begins anew, whatever was there.
    assert np.array_equal(
        probabilities(vad(server, part, sequence_id=5, sequence_start=True)), first
    )
    vad(server, part, sequence_id=5, sequence_end=True)
    refused(lambda: vad(server, part, sequence_id=5), "NOT_FOUND", "does not run")


@check
def who_may():
    server, part = client(), speech(1)
    refused(lambda: vad(server, part, headers=None), "UNAUTHENTICATED", "")
    refused(lambda: vad(server, part, headers=bearer("nonsense")), "UNAUTHENTICATED", "")
    refused(lambda: server.unload_model("g2p", headers=CLIENT), "PERMISSION_DENIED", "role admin")


@check
def bad_input():
    server = client()
    wrong = triton.InferInput("audio", [2, 2], "FP32")
    wrong.set_data_from_numpy(np.zeros((2, 2), np.float32))
    refused(
        lambda: server.infer("silero-vad", [wrong], headers=CLIENT), "INVALID_ARGUMENT", "audio"
    )
    wrong = triton.InferInput("audio", [4], "FP64")
    wrong.set_data_from_numpy(np.zeros(4))
    refused(
        lambda: server.infer("silero-vad", [wrong], headers=CLIENT), "INVALID_ARGUMENT", "float32"
    )
    refused(
        lambda: vad(server, speech(1), parameters={"nothing": 1}), "INVALID_ARGUMENT", "nothing"
    )
    refused(lambda: vad(server, speech(1), model_version="9"), "NOT_FOUND", "version 9")
    assert len(probabilities(vad(server, speech(1), parameters={"sample_rate": 16000}))) == 1


@check
def a_client_that_vanishes_leaves_nothing():
    server = client()
    stream = Stream(server)
    for number in range(40):
        stream.send("silero-vad", [audio(np.zeros(FRAME * 2000, np.float32))], request_id=str(number))
    stream.next()
    server.stop_stream(cancel_requests=True)
    begin = time.monotonic()
    vad(client(), speech(1))
    assert time.monotonic() - begin < SECONDS


@only_at_gateways
def models_are_the_hosters_own():
    server = client()
    refused(lambda: server.load_model("g2p", headers=ADMIN), "UNIMPLEMENTED", "at hosters")
    refused(lambda: server.unload_model("g2p", headers=ADMIN), "UNIMPLEMENTED", "at hosters")


@only_at_hosters
def models_come_and_go():
    server = client(SECOND)
    server.unload_model("g2p", headers=ADMIN)
    assert not server.is_model_ready("g2p", headers=CLIENT)
    index = server.get_model_repository_index(headers=CLIENT).models
    assert "READY" not in [one.state for one in index if one.name == "g2p"], index
    server.load_model("g2p", headers=ADMIN)
    assert server.is_model_ready("g2p", headers=CLIENT)
    words = server.infer("g2p", [text("rank")], headers=CLIENT)
    assert list(words.as_numpy("text")) == [b"R AE1 NG K"], words.as_numpy("text")


@check
def what_was_asked_is_counted():
    server = client()
    count = lambda: server.get_inference_statistics("g2p", headers=CLIENT).model_stats[0]
    before = count()
    server.infer("g2p", [text("taxi")], headers=CLIENT)
    after = count()
    assert after.inference_count == before.inference_count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns


@only_at_gateways
def a_sequence_and_a_stream_survive_their_hoster():
    """Last of all: afterwards there is one hoster less."""
    server, samples = client(), speech(60)
    whole = probabilities(vad(server, samples))
    begin = time.monotonic()
    while sum(open_sessions(one["admin"]) for one in SUBNET["processes"]) > 0:
        assert time.monotonic() - begin < SECONDS, "sessions are left over"
        time.sleep(0.05)
    values = []
    with Stream(server) as stream:
        for number, part in enumerate(np.split(samples, 6)):
            if number == 2:
                (used,) = [one for one in SUBNET["processes"] if open_sessions(one["admin"]) > 0]
                os.kill(used["pid"], signal.SIGKILL)
            marks = {"sequence_start": number == 0, "sequence_end": number == 5}
            if number % 2 == 0:
                values.append(probabilities(vad(server, part, sequence_id=9, **marks)))
                continue
            stream.send("silero-vad", [audio(part)], sequence_id=9, **marks)
            values += [probabilities(one) for one in stream.until_final()]
    assert np.array_equal(np.concatenate(values), whole), "not the bits of one request"
