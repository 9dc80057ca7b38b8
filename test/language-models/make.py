#!/usr/bin/env python3
"""Makes the language models of this folder: tiny ones with random weights, as optimum exports them, and what
they must answer according to transformers itself. Random weights are enough to test caches, masks, positions and
what becomes of half characters, and belong to nobody.

    python3 -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==4.57.6 optimum-onnx==0.1.0 onnxruntime
    venv/bin/python make.py

llama-gqa/1 is a llama as onnxruntime-genai's builder writes it (GroupQueryAttention, which wants heads of a multiple of 8):

    venv/bin/python make.py --gqa hf-llama    # writes llama-gqa-greedy.json, too
    python3 -m venv builder
    builder/bin/pip install torch==2.15.0 transformers==5.24.0 onnx onnx-ir==1.1.0 onnxruntime-genai==0.18.0
    builder/bin/python -m onnxruntime_genai.models.builder -m hf-llama -o llama-gqa/1 -p fp32 -e cpu

round.py makes llama-int4, llama-f16 and gpt2-int8 of these, window.py a llama with a sliding window.

For each model NAME: NAME/1/ as `onnx_export_from_model` and `save_pretrained` write it, NAME-greedy.json
([{prompt, tokens, margin}], the token that ends a text included) and NAME-texts.json ([{text, ids, decoded}], by
the tokenizers library; where a model went on with a prompt, that is `before`). `margin` is the smallest distance of the best logit to the second, over the standard
deviation of all: above 1e-3 no rounding turns a token. sampling.json has logits before and after transformers'
processors, for 200 settings.
"""
import json
import os
import random
import shutil
import sys
from pathlib import Path

import torch
from optimum.exporters.onnx import onnx_export_from_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

torch.set_num_threads(1)
HERE = Path(__file__).parent
VOCABULARY = 448
TOKENS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SPECIAL = ["<pad>", "<s>", "</s>"]
# This project's README as it was; enough to find some pairs of letters that are frequent.
CORPUS = (HERE / "corpus.txt").read_text().splitlines()
PROMPTS = [
    [5], [9, 4], [5, 6, 7, 8, 300, 12, 77], list(range(10, 60)), [440, 3] * 40, [17, 400, 23],
    list(range(100, 133)), [7 * i % 439 for i in range(1, 129)],
]  # fmt: skip
TEXTS = [
    "A router knows which hosters are healthy.", "  two spaces,\ttab\nand a line ", "Zürich – naïve façade",
    "日本語のテキスト", "👩‍👩‍👧 and 🇨🇭", "x = [1, 2]; // 3", "</s> is special, </ s> is not", "é",
]  # fmt: skip
TURNS = 48


def gpt2():
    # Untied: a model of random weights would repeat its input.
    return GPT2LMHeadModel(GPT2Config(n_positions=256, n_embd=48, n_layer=2, n_head=4,
                                      tie_word_embeddings=False, **TOKENS))  # fmt: skip


def llama():
    return LlamaForCausalLM(LlamaConfig(hidden_size=48, intermediate_size=96, num_hidden_layers=3,
                                        num_attention_heads=4, num_key_value_heads=2,
                                        max_position_embeddings=256, **TOKENS))  # fmt: skip


def byte_level():
    """As GPT-2 and Llama 3 have it: letters stand for bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=VOCABULARY - 8, special_tokens=SPECIAL, initial_alphabet=alphabet))  # fmt: skip
    return tokenizer


def byte_fallback():
    """As Llama 2 has it: letters, and bytes for those that are missing."""
    tokenizer = Tokenizer(models.BPE(unk_token="<pad>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=VOCABULARY - 8, special_tokens=SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]))  # fmt: skip
    # The trainer takes what stands for bytes for special: it is not, and would be left out of texts.
    written = json.loads(tokenizer.to_str())
    written["added_tokens"] = [one for one in written["added_tokens"] if one["content"] in SPECIAL]
    return Tokenizer.from_str(json.dumps(written))


def greedy(model, prompt):
    tokens, margin = [], float("inf")
    with torch.no_grad():
        for _ in range(TURNS):
            last = model(torch.tensor([prompt + tokens])).logits[0, -1]
            best = last.topk(2).values
            margin = min(margin, float((best[0] - best[1]) / last.std()))
            tokens.append(int(last.argmax()))
            if tokens[-1] == TOKENS["eos_token_id"]:
                break
    return {"prompt": prompt, "tokens": tokens, "margin": round(margin, 6)}


def scaled(make, embed, linear, seed):
    """Larger weights than models begin with: every position then has a clear best token of its own."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        for key, weights in model.named_parameters():
            if weights.dim() > 1:
                inner = not any(part in key for part in ("wte", "wpe", "embed", "lm_head"))
                weights.mul_(linear if inner else embed)
    return model


def without_near_ties(make, embed, linear):
    for seed in range(7, 400):
        model = scaled(make, embed, linear, seed)
        answers = [greedy(model, prompt) for prompt in PROMPTS]
        margin = min(answer["margin"] for answer in answers)
        kinds = sorted(len(set(answer["tokens"])) for answer in answers)
        ended = sum(answer["tokens"][-1] == TOKENS["eos_token_id"] for answer in answers)
        if margin > 1e-3 and kinds[len(kinds) // 2] > 10 and ended > 0:
            print("seed", seed, "margin", margin, "distinct", kinds, "ended", ended, flush=True)
            return model, answers
    raise SystemExit("no seed without near ties")


def llama_gqa():
    return LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=3,
                                        num_attention_heads=4, num_key_value_heads=2,
                                        max_position_embeddings=256, **TOKENS))  # fmt: skip


def for_builder(folder):
    """The weights that the builder reads, with the tokenizer beside them."""
    model, answers = without_near_ties(llama_gqa, 4, 8)
    write("llama-gqa-greedy.json", answers)
    model.save_pretrained(folder)
    fast_of(byte_fallback()).save_pretrained(folder)


def fast_of(tokenizer):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def main():
    for name, make, tokenizer, scale in (("gpt2", gpt2, byte_level(), (4, 4)), ("llama", llama, byte_fallback(), (4, 8))):
        model, answers = without_near_ties(make, *scale)
        folder = HERE / name / "1"
        shutil.rmtree(folder, ignore_errors=True)
        onnx_export_from_model(model, output=folder, task="text-generation-with-past", do_validation=False)
        fast_of(tokenizer).save_pretrained(folder)
        texts = [{"text": text, "ids": (ids := tokenizer.encode(text).ids), "decoded": tokenizer.decode(ids)} for text in TEXTS]
        # What the model itself says is full of half characters.
        for one in answers:
            prompt, whole = one["prompt"], one["prompt"] + one["tokens"]
            texts.append({"before": prompt, "beforeText": tokenizer.decode(prompt), "ids": whole, "decoded": tokenizer.decode(whole)})
        write(f"{name}-greedy.json", answers)
        write(f"{name}-texts.json", texts)
        print(name, {file.name: file.stat().st_size for file in sorted(folder.iterdir())})
    write("sampling.json", sampling())


def sampling():
    draw = random.Random(1)
    torch.manual_seed(1)
    cases = []
    for _ in range(200):
        logits = (torch.randn(1, 24) * draw.choice([0.5, 2, 6])).round(decimals=draw.choice([1, 4]))
        setting = {
            "temperature": draw.choice([1, 0.2, 0.7, 1.5]),
            "top_k": draw.choice([0, 1, 3, 8, 24, 40]),
            "top_p": draw.choice([1, 0.1, 0.5, 0.9, 0.99]),
        }
        after = logits
        if setting["temperature"] != 1:
            after = TemperatureLogitsWarper(float(setting["temperature"]))(None, after)
        if setting["top_k"] != 0:
            after = TopKLogitsWarper(setting["top_k"])(None, after)
        if setting["top_p"] != 1:
            after = TopPLogitsWarper(float(setting["top_p"]))(None, after)
        kept = [value if value != float("-inf") else None for value in after[0].tolist()]
        cases.append({**setting, "logits": logits[0].tolist(), "processed": kept})
    return cases


def write(name, value):
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in value)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if "--gqa" in sys.argv:
        for_builder(sys.argv[-1])
    else:
        main()
