#!/usr/bin/env python3
"""Writes choices.json: logits before and after transformers' processors, for 200 random settings of all that an
answer's tokens are chosen by.

    python3 -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==4.57.6
    venv/bin/python choices.py

Each case has `settings` by the names of parameters, `prompt` and `answer` (ids so far), `logits`, `processed` (null:
may not be chosen) and `exact` (nothing was near a border of top_p, min_p or typical_p, so that rounding moves nothing).
transformers has no frequency and presence penalties: they are written here as vLLM documents them.
"""
import json
import random
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

VOCABULARY = 64
END = 2
ORDER = [
    "logit_bias", "repetition_penalty", "counts", "no_repeat_ngram_size", "min_tokens",
    "temperature", "top_k", "top_p", "min_p", "typical_p",
]  # fmt: skip


class Counts:
    """vLLM: logits -= frequency_penalty * counts; logits -= presence_penalty * (counts > 0), on output tokens."""

    def __init__(self, prompt, frequency, presence):
        self.prompt, self.frequency, self.presence = prompt, frequency, presence

    def __call__(self, ids, scores):
        counts = torch.bincount(ids[0, self.prompt :], minlength=VOCABULARY).unsqueeze(0)
        scores = scores - self.frequency * counts
        return scores - self.presence * (counts > 0)


def processors(settings, prompt):
    get = settings.get
    made = {
        "logit_bias": lambda: SequenceBiasLogitsProcessor([[[int(id)], bias] for id, bias in get("logit_bias").items()]),
        "repetition_penalty": lambda: RepetitionPenaltyLogitsProcessor(get("repetition_penalty")),
        "counts": lambda: Counts(prompt, get("frequency_penalty", 0.0), get("presence_penalty", 0.0)),
        "no_repeat_ngram_size": lambda: NoRepeatNGramLogitsProcessor(get("no_repeat_ngram_size")),
        "min_tokens": lambda: MinNewTokensLengthLogitsProcessor(prompt, get("min_tokens"), [END]),
        "temperature": lambda: TemperatureLogitsWarper(get("temperature")),
        "top_k": lambda: TopKLogitsWarper(get("top_k")),
        "top_p": lambda: TopPLogitsWarper(get("top_p")),
        "min_p": lambda: MinPLogitsWarper(get("min_p")),
        "typical_p": lambda: TypicalLogitsWarper(get("typical_p")),
    }
    for key in ORDER:
        if key in settings or key == "counts":
            yield key, made[key]()


def near_a_border(key, settings, scores):
    """Whether rounding could keep another set of tokens."""
    p = scores[0].double().softmax(-1)
    if key == "top_p":
        sums = p.sort().values.cumsum(-1)
        return bool(((sums - (1 - settings["top_p"])).abs() < 1e-5).any())
    if key == "min_p":
        return bool(((p / p.max() - settings["min_p"]).abs() < 1e-5).any())
    if key == "typical_p":
        kept = p[p > 0]
        information = -kept.log()
        distance = (information - (information * kept).sum()).abs()
        order = distance.argsort()
        sums = kept[order].cumsum(-1)
        close = (distance[order].diff().abs() < 1e-5).any()
        return bool(((sums - settings["typical_p"]).abs() < 1e-5).any() or close)
    return False


def case(draw):
    maybe = lambda key, values, often: {key: draw.choice(values)} if draw.random() < often else {}
    settings = {
        "temperature": draw.choice([1.0, 0.2, 0.7, 1.5]),
        **maybe("repetition_penalty", [0.8, 1.05, 1.3, 2.0], 0.5),
        **maybe("frequency_penalty", [-1.0, 0.25, 0.7, 2.0], 0.4),
        **maybe("presence_penalty", [-0.5, 0.3, 1.5], 0.4),
        **maybe("no_repeat_ngram_size", [1, 2, 3], 0.3),
        **maybe("min_tokens", [1, 4, 9], 0.3),
        **maybe("top_k", [1, 3, 8, 40, 64], 0.4),
        **maybe("top_p", [0.1, 0.5, 0.9, 0.99], 0.5),
        **maybe("min_p", [0.02, 0.1, 0.4], 0.4),
        **maybe("typical_p", [0.2, 0.6, 0.95], 0.3),
    }
    if draw.random() < 0.4:
        settings["logit_bias"] = {str(draw.randrange(1, VOCABULARY)): draw.choice([-100.0, -2.5, 0.3, 4.0]) for _ in range(5)}
    # Few different ones, so that runs come again.
    prompt = [draw.randrange(3, 12) for _ in range(draw.randrange(1, 14))]
    answer = [draw.randrange(3, 12) for _ in range(draw.randrange(0, 12))]
    logits = (torch.randn(1, VOCABULARY) * draw.choice([0.5, 2, 6])).round(decimals=4)
    ids = torch.tensor([prompt + answer])
    scores, exact = logits, True
    for key, process in processors(settings, len(prompt)):
        exact = exact and not near_a_border(key, settings, scores)
        scores = LogitsProcessorList([process])(ids, scores) if key != "counts" else process(ids, scores)
    processed = [round(value, 6) if value != float("-inf") else None for value in scores[0].tolist()]
    # Four decimals are the same float32.
    before = [round(value, 4) for value in logits[0].tolist()]
    return {"settings": settings, "prompt": prompt, "answer": answer, "exact": exact, "logits": before, "processed": processed}


if __name__ == "__main__":
    torch.manual_seed(4)
    draw = random.Random(4)
    lines = ",\n".join(json.dumps(case(draw)) for _ in range(200))
    (Path(__file__).parent / "choices.json").write_text(f"[\n{lines}\n]\n")
