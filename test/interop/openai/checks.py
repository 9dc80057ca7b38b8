"""Asks a gateway with the openai package as anybody would, and kills a hoster under its streams."""

import json
import os
import signal
import sys

import openai
from checking import check, metric, run_checks

SUBNET = json.loads(os.environ["SUBNET"])
BASE = f"http://{SUBNET['gateway']['http']}/v1"
CLIENT = openai.OpenAI(base_url=BASE, api_key=SUBNET["token"], max_retries=0)
MESSAGES = [{"role": "user", "content": "A router is </s>"}]


@check
def models_are_listed():
    assert sorted(model.id for model in CLIENT.models.list()) == ["llama", "sentence-bert"]
    assert CLIENT.models.retrieve("llama").id == "llama"


@check
def a_chat_is_answered_whole_and_streamed():
    asked = {"model": "llama", "messages": MESSAGES, "max_completion_tokens": 30}
    whole = CLIENT.chat.completions.create(**asked)
    content = whole.choices[0].message.content
    assert content and whole.choices[0].finish_reason in ("stop", "length"), whole
    chunks = list(
        CLIENT.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []


@check
def functions_are_called_whole_and_streamed():
    place = {"type": "object", "properties": {"at": {"enum": ["here", "there"]}}, "required": ["at"]}
    tools = [{"type": "function", "function": {"name": "look", "parameters": place}}]
    asked = {"model": "llama", "messages": MESSAGES, "tools": tools, "tool_choice": "required"}
    choice = CLIENT.chat.completions.create(**asked).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and choice.message.content is None, choice
    assert call.function.name == "look", call
    assert json.loads(call.function.arguments)["at"] in ("here", "there"), call
    chunks = [chunk.choices[0] for chunk in CLIENT.chat.completions.create(**asked, stream=True)]
    deltas = [delta for chunk in chunks for delta in chunk.delta.tool_calls or []]
    assert [(one.index, one.function) for one in deltas] == [
        (0, openai.types.chat.chat_completion_chunk.ChoiceDeltaToolCallFunction(**dict(call.function)))
    ], deltas
    assert chunks[-1].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": call.id, "content": "a router"}
    again = {**asked, "messages": [*MESSAGES, choice.message, result], "tool_choice": "none", "max_tokens": 3}
    assert CLIENT.chat.completions.create(**again).choices[0].finish_reason in ("stop", "length")


@check
def completions_of_text_and_of_ids():
    one = CLIENT.completions.create(model="llama", prompt="A router is", max_tokens=5)
    assert one.choices[0].text and one.choices[0].finish_reason == "length"
    ids = CLIENT.completions.create(
        model="llama", prompt=[5, 6, 7], max_tokens=5, n=2, temperature=2, seed=1, extra_body={"top_k": 9}
    )
    assert ids.usage.prompt_tokens == 3 and ids.usage.completion_tokens == 10
    assert ids.choices[0].text != ids.choices[1].text


@check
def texts_have_vectors():
    # The package asks for base64 unless it is told otherwise.
    asked = {"model": "sentence-bert", "input": ["A router knows which hosters are healthy.", "Short."]}
    packed = CLIENT.embeddings.create(**asked)
    plain = CLIENT.embeddings.create(**asked, encoding_format="float")
    assert [one.embedding for one in packed.data] == [one.embedding for one in plain.data]
    assert [len(one.embedding) for one in plain.data] == [32, 32]
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 26, packed.usage


@check
def what_is_wrong_is_named():
    def refused(kind, param, code, **asked):
        try:
            CLIENT.chat.completions.create(**{"model": "llama", "messages": MESSAGES, **asked})
        except kind as error:
            assert (error.param, error.code) == (param, code), error
            return
        raise AssertionError(f"{asked} should have been refused")

    refused(openai.NotFoundError, "model", "model_not_found", model="none")
    refused(openai.BadRequestError, "top_p", "parameter_invalid", top_p=2)
    refused(openai.BadRequestError, "beams", "parameter_invalid", extra_body={"beams": 2})
    refused(openai.BadRequestError, "messages[0].role", "invalid_argument", messages=[{"role": "x", "content": ""}])
    refused(
        openai.BadRequestError,
        "messages",
        "limit_exceeded",
        messages=[{"role": "user", "content": "cab " * 50_000}],
        stream=True,
    )
    nobody = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)
    try:
        nobody.chat.completions.create(model="llama", messages=MESSAGES)
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error
        return
    raise AssertionError("a token that is none should have been refused")


@check
def streams_survive_the_death_of_a_hoster():
    asked = {"model": "llama", "prompt": [5, 6, 7], "max_tokens": 250, "temperature": 3, "seed": 4}
    whole = CLIENT.completions.create(**asked).choices[0].text
    assert len(whole) > 200
    # More than one hoster computes until the first pieces are read: there is something left.
    streams = [CLIENT.completions.create(**asked, stream=True) for _ in range(8)]
    texts = [next(stream).choices[0].text for stream in streams]
    busy = max(SUBNET["processes"], key=lambda one: metric(one["admin"], "cabstand_open_sessions"))
    assert metric(busy["admin"], "cabstand_open_sessions") > 0
    os.kill(busy["pid"], signal.SIGKILL)
    for at, stream in enumerate(streams):
        texts[at] += "".join(chunk.choices[0].text for chunk in stream)
    assert texts == [whole] * len(streams)


if __name__ == "__main__":
    sys.exit(run_checks())
