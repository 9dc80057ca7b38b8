"""HTTP: JSON, and JSON with the bytes of tensors behind it."""

import json
import urllib.request

import numpy as np
import tritonclient.http as triton
from support import (
    ADMIN,
    CLIENT,
    OTHER,
    SECONDS,
    check,
    expected,
    only_at_gateways,
    only_at_hosters,
    probabilities,
    refused,
    speech,
)
from support import FIRST_HTTP as FIRST
from support import SECOND_HTTP as SECOND


def client(address=FIRST, **more):
    return triton.InferenceServerClient(address, **more)


def audio(samples, binary=True):
    given = triton.InferInput("audio", [len(samples)], "FP32")
    given.set_data_from_numpy(samples, binary_data=binary)
    return given


def text(prompt, binary=True):
    given = triton.InferInput("prompt", [1], "BYTES")
    given.set_data_from_numpy(np.array([prompt.encode()], dtype=np.object_), binary_data=binary)
    return given


def vad(server, samples, headers=CLIENT, **more):
    return server.infer("silero-vad", [audio(samples)], headers={**headers}, **more)


@check
def http_what_there_is():
    server = client()
    assert server.is_server_live(headers={**CLIENT}) and server.is_server_ready(headers={**CLIENT})
    assert server.is_model_ready("g2p", "1", headers={**CLIENT})
    assert not server.is_model_ready("nothing", headers={**CLIENT})
    assert "binary_tensor_data" in server.get_server_metadata(headers={**CLIENT})["extensions"]
    metadata = server.get_model_metadata("silero-vad", headers={**CLIENT})
    assert metadata["inputs"] == [{"name": "audio", "datatype": "FP32", "shape": [-1]}], metadata
    config = server.get_model_config("silero-vad", headers={**CLIENT})
    assert config["input"][0]["data_type"] == "TYPE_FP32", config
    index = {one["name"]: one["state"] for one in server.get_model_repository_index(headers={**CLIENT})}
    assert index == {"silero-vad": "READY", "g2p": "READY"}, index


@check
def http_infer_in_json_and_in_bytes_at_both_hosters():
    samples, right = speech(60), expected(60)
    for address in (FIRST, SECOND):
        for given in (True, False):
            for wanted in (True, False):
                result = client(address).infer(
                    "silero-vad",
                    [audio(samples, binary=given)],
                    outputs=[triton.InferRequestedOutput("speech_probability", binary_data=wanted)],
                    request_id="r-1",
                    headers={**CLIENT},
                )
                assert result.get_response()["id"] == "r-1"
                assert np.abs(probabilities(result) - right).max() < 1e-4
    for binary in (True, False):
        words = client().infer("g2p", [text("taxi", binary)], headers={**CLIENT})
        assert list(words.as_numpy("text")) == [b"T AE1 K S IY0"], words.as_numpy("text")
        assert words.as_numpy("token").dtype == np.int64


@check
def http_compressed():
    for algorithm in ("gzip", "deflate"):
        result = vad(client(), speech(10), request_compression_algorithm=algorithm)
        assert np.abs(probabilities(result) - expected(10)).max() < 1e-4


@check
def http_without_waiting():
    server = client(concurrency=8)
    calls = [
        server.async_infer("silero-vad", [audio(speech(20))], headers={**CLIENT}) for _ in range(20)
    ]
    for call in calls:
        result = call.get_result(timeout=SECONDS)
        assert np.abs(probabilities(result) - expected(20)).max() < 1e-4


@check
def http_sequences():
    server = client()
    whole = probabilities(vad(server, speech(20)))
    for sequence_id in (77, "by-name"):
        values = [
            probabilities(
                vad(
                    server,
                    part,
                    sequence_id=sequence_id,
                    sequence_start=number == 0,
                    sequence_end=number == 19,
                )
            )
            for number, part in enumerate(np.split(speech(20), 20))
        ]
        assert np.array_equal(np.concatenate(values), whole)
    refused(lambda: vad(server, speech(1), sequence_id=77), "404", "does not run")
    vad(server, speech(1), sequence_id=77, sequence_start=True)
    refused(lambda: vad(server, speech(1), headers=OTHER, sequence_id=77), "404", "does not run")
    vad(server, speech(1), sequence_id=77, sequence_end=True)


@check
def http_refusals():
    server = client()
    refused(lambda: vad(server, speech(1), headers={}), "401", "")
    refused(lambda: server.unload_model("g2p", headers={**CLIENT}), "403", "role admin")
    refused(lambda: server.infer("nothing", [audio(speech(1))], headers={**CLIENT}), "404", "nothing")
    wrong = triton.InferInput("audio", [4], "FP64")
    wrong.set_data_from_numpy(np.zeros(4))
    refused(lambda: server.infer("silero-vad", [wrong], headers={**CLIENT}), "400", "float32")
    assert len(probabilities(vad(server, speech(1)))) == 1


@only_at_gateways
def http_models_are_the_hosters_own():
    refused(lambda: client().unload_model("g2p", headers={**ADMIN}), "501", "at hosters")


@only_at_hosters
def http_models_come_and_go():
    server = client(SECOND)
    server.unload_model("g2p", headers={**ADMIN})
    assert not server.is_model_ready("g2p", headers={**CLIENT})
    server.load_model("g2p", headers={**ADMIN})
    words = server.infer("g2p", [text("rank")], headers={**CLIENT})
    assert list(words.as_numpy("text")) == [b"R AE1 NG K"], words.as_numpy("text")


@check
def http_counts():
    server = client()
    count = lambda: server.get_inference_statistics("g2p", headers={**CLIENT})["model_stats"][0]
    before = count()["inference_count"]
    server.infer("g2p", [text("taxi")], headers={**CLIENT})
    assert count()["inference_count"] == before + 1


@check
def http_with_nothing_but_json():
    body = {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["taxi"]}]}
    request = urllib.request.Request(
        f"http://{FIRST}/v2/models/g2p/infer",
        data=json.dumps(body).encode(),
        headers={**CLIENT, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        answer = json.load(response)
    outputs = {one["name"]: one["data"] for one in answer["outputs"]}
    assert outputs["text"] == ["T AE1 K S IY0"], answer
