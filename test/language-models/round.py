#!/usr/bin/env python3
"""Makes those models of this folder, and of ../encoder-models, that round to few bits, out of those that do not.

    builder/bin/python round.py hf-llama    # `builder` and `hf-llama` as in make.py

- llama-int4/1/: what onnxruntime-genai's builder makes of hf-llama with `-p int4 -e cpu`: MatMulNBits.
- llama-f16/1/: llama/1 with weights, caches and scores of float16; llama-f16-greedy.json as in make.py, but asked of ONNX
  Runtime, whose answers have to be those of llama-greedy.json: its margins are larger than what float16 moves.
- gpt2-int8/1/, ../encoder-models/t5-int8/1/: dynamic quantization, as ONNX Runtime's quantize_dynamic does it.

Processors have kernels of their own for 4 and 8 bits: what those models answer is not kept.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

HERE = Path(__file__).parent
TURNS = 48
END = 2


def copied(source, target):
    """All but the graphs."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.onnx"))
    return target


def greedy(session, prompt):
    inputs = {value.name: value for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    cache = {name: numpy.zeros((1, value.shape[1], 0, value.shape[3]), numpy.float16)
             for name, value in inputs.items() if name.startswith("past")}  # fmt: skip
    tokens, margin, feed, total = [], float("inf"), list(prompt), 0
    while len(tokens) < TURNS and tokens[-1:] != [END]:
        total += len(feed)
        given = {
            "input_ids": numpy.array([feed]),
            "attention_mask": numpy.ones((1, total), numpy.int64),
            "position_ids": numpy.arange(total - len(feed), total)[None],
        }
        outputs = dict(zip(names, session.run(None, {**given, **cache})))
        cache = {name: outputs[name.replace("past_key_values", "present")] for name in cache}
        last = outputs["logits"][0, -1].astype(numpy.float32)
        second, best = numpy.sort(last)[-2:]
        margin = min(margin, float((best - second) / last.std()))
        feed = [int(last.argmax())]
        tokens += feed
    return {"prompt": prompt, "tokens": tokens, "margin": round(margin, 6)}


def float16():
    target = copied(HERE / "llama/1", HERE / "llama-f16/1")
    onnx.save(convert_float_to_float16(onnx.load(HERE / "llama/1/model.onnx"), keep_io_types=False), target / "model.onnx")
    session = onnxruntime.InferenceSession(target / "model.onnx", providers=["CPUExecutionProvider"])
    expected = json.loads((HERE / "llama-greedy.json").read_text())
    answers = [greedy(session, answer["prompt"]) for answer in expected]
    assert [one["tokens"] for one in answers] == [one["tokens"] for one in expected]
    lines = ",\n".join(json.dumps(one) for one in answers)
    (HERE / "llama-f16-greedy.json").write_text(f"[\n{lines}\n]\n")


def int8(source, target, graphs):
    copied(source, target)
    for graph in graphs:
        quantize_dynamic(source / graph, target / graph, weight_type=QuantType.QInt8)


def main():
    float16()
    int8(HERE / "gpt2/1", HERE / "gpt2-int8/1", ["model.onnx"])
    encoders = HERE.parent / "encoder-models"
    pair = ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"]
    int8(encoders / "t5/1", encoders / "t5-int8/1", pair)
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", "int4", "-e", "cpu"]
    subprocess.run([*builder, "-m", sys.argv[1], "-o", HERE / "llama-int4/1"], check=True)


if __name__ == "__main__":
    main()
