#!/usr/bin/env python3
"""Makes a llama with a sliding window out of llama-gqa/1, and what it must answer according to transformers.

    builder/bin/python window.py    # `builder` as in make.py

onnxruntime-genai's builder writes `sliding_window` of Mistral as `local_window_size` of GroupQueryAttention, and the same
graph as of a llama besides: llama-window.pb is llama-gqa/1/model.onnx with that, and takes its weights from
llama-gqa/1/model.onnx.data. llama-window-greedy.json is as in make.py, asked of MistralForCausalLM with these weights;
without a window it has to answer what llama-gqa-greedy.json says.
"""
import json
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from transformers import MistralConfig, MistralForCausalLM

torch.set_num_threads(1)
HERE = Path(__file__).parent
WINDOW = 24
TURNS = 48
END = 2


def model_of(graph, window):
    config = MistralConfig(
        vocab_size=448, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=256, sliding_window=window, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=END, pad_token_id=0, attn_implementation="eager")  # fmt: skip
    given = {one.name: torch.tensor(numpy_helper.to_array(one)) for one in graph.initializer}
    weights = {"model.embed_tokens.weight": given["model.embed_tokens.weight"],
               "model.norm.weight": given["model.layers.3.final_norm_layernorm.weight"],
               "lm_head.weight": given["lm_head.MatMul.weight"].T}  # fmt: skip
    for layer in range(3):
        name = f"model.layers.{layer}."
        query, key, value = given[f"{name}attn.qkv_proj.MatMul.weight"].T.split([64, 32, 32])
        weights |= {f"{name}self_attn.{part}_proj.weight": one for part, one in zip("qkv", (query, key, value))}
        weights[f"{name}self_attn.o_proj.weight"] = given[f"{name}attn.o_proj.MatMul.weight"].T
        for part in ("gate", "up", "down"):
            weights[f"{name}mlp.{part}_proj.weight"] = given[f"{name}mlp.{part}_proj.MatMul.weight"].T
        for part in ("input", "post_attention"):
            weights[f"{name}{part}_layernorm.weight"] = given[f"{name}{part}_layernorm.weight"]
    # The builder's graph says with which epsilon it divides.
    norm = next(node for node in graph.node if node.op_type == "SimplifiedLayerNormalization")
    config.rms_norm_eps = next(one.f for one in norm.attribute if one.name == "epsilon")
    model = MistralForCausalLM(config).eval()
    model.load_state_dict(weights)
    return model


def greedy(model, prompt):
    tokens, margin = [], float("inf")
    with torch.no_grad():
        for _ in range(TURNS):
            last = model(torch.tensor([prompt + tokens]), use_cache=False).logits[0, -1]
            best = last.topk(2).values
            margin = min(margin, float((best[0] - best[1]) / last.std()))
            tokens.append(int(last.argmax()))
            if tokens[-1] == END:
                break
    return {"prompt": prompt, "tokens": tokens, "margin": round(margin, 6)}


def main():
    known = json.loads((HERE / "llama-gqa-greedy.json").read_text())
    whole = onnx.load(HERE / "llama-gqa/1/model.onnx")
    plain = model_of(whole.graph, None)
    for one in known:
        assert greedy(plain, one["prompt"])["tokens"] == one["tokens"], one["prompt"]
    slides = model_of(whole.graph, WINDOW)
    answers = [greedy(slides, one["prompt"]) for one in known]
    print("margin", min(one["margin"] for one in answers),
          "other than without a window", sum(a["tokens"] != b["tokens"] for a, b in zip(answers, known)))  # fmt: skip
    (HERE / "llama-window-greedy.json").write_text("[\n" + ",\n".join(map(json.dumps, answers)) + "\n]\n")

    model = onnx.load(HERE / "llama-gqa/1/model.onnx", load_external_data=False)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "local_window_size":
                attribute.i = WINDOW
    onnx.save(model, HERE / "llama-window.pb")


main()
