#!/usr/bin/env python3
"""Tokens a second of onnxruntime-genai, with batches of its own: what `npm run bench -- lm` is to be held against.

    builder/bin/python test/bench/lm/genai.py MODEL/1 [seconds]    # `builder` as in test/language-models/make.py

MODEL is what its builder wrote. As in that benchmark: one thread, prompts of 64 tokens, answers of 128 of the likeliest, rounds
of 1, 4, 8 and 16 rows that begin and end together; tokens of answers are counted, the time of prompts as well.
"""
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy
import onnxruntime_genai

PROMPT = 64
ANSWER = 128
ROUNDS = 5


def with_one_thread(source, folder):
    """The model, but for its settings."""
    for file in Path(source).iterdir():
        if file.name != "genai_config.json":
            (folder / file.name).symlink_to(file.resolve())
    config = json.loads((Path(source) / "genai_config.json").read_text())
    # No token ends an answer before its time.
    config["model"]["eos_token_id"] = config["model"]["vocab_size"] - 1
    config["model"]["decoder"]["session_options"] |= {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    (folder / "genai_config.json").write_text(json.dumps(config))
    return config["model"]["vocab_size"]


def batch(model, rows, vocabulary, seed):
    params = onnxruntime_genai.GeneratorParams(model)
    params.set_search_options(batch_size=rows, max_length=PROMPT + ANSWER, do_sample=False)
    generator = onnxruntime_genai.Generator(model, params)
    draw = numpy.random.default_rng(seed)
    generator.append_tokens(draw.integers(3, vocabulary - 1, (rows, PROMPT)).astype(numpy.int32))
    steps = 0
    while not generator.is_done():
        generator.generate_next_token()
        steps += 1
    return steps * rows


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 6
    with tempfile.TemporaryDirectory() as name:
        vocabulary = with_one_thread(sys.argv[1], Path(name))
        model = onnxruntime_genai.Model(name)
        for rows in (1, 4, 8, 16):
            rates = []
            for number in range(ROUNDS):
                begun, tokens = time.perf_counter(), 0
                while time.perf_counter() - begun < seconds:
                    tokens += batch(model, rows, vocabulary, number)
                rates.append(tokens / (time.perf_counter() - begun))
            low, high = min(rates), max(rates)
            print(f"{rows} rows: {statistics.median(rates):.0f} tokens a second ({low:.0f} to {high:.0f})", flush=True)


if __name__ == "__main__":
    main()
