#!/usr/bin/env python3
"""Makes the models of this folder, which have an encoder: tiny ones with random weights, as optimum exports them, and what
they must answer according to transformers and sentence-transformers.

    python3 -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==4.57.6 optimum-onnx==0.1.0 onnxruntime sentence-transformers==5.1.2
    venv/bin/python make.py

- sentence-bert/1/: text to a vector, with modules.json; sentence-bert.json: [{text, ids, mean, cls, max, normalized}].
- topic-bert/1/: text to labels; topic-bert.json: [{text, scores, sigmoid}].
- t5-int8/1/: ../language-models/round.py makes it of t5/1.
- t5/1/ (merged decoder, and the two graphs in its place), t5.json: [{prompt, tokens, margin, text?}].
- whisper/1/ (clips of a second), whisper.json: [{clip, language, task, features, tokens, margin}]; `features` is every 37th
  value of what WhisperFeatureExtractor makes of the clip, whose samples `samples_of` says.

`margin` as in ../language-models/make.py: no rounding turns a token.
"""
import json
import math
import os
import shutil
from pathlib import Path

import numpy
import torch
from optimum.exporters.onnx import onnx_export_from_model
from sentence_transformers import SentenceTransformer
from sentence_transformers import models as modules
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GenerationConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

torch.set_num_threads(1)
HERE = Path(__file__).parent
CORPUS = (HERE / "../language-models/corpus.txt").read_text().splitlines()
TEXTS = [
    "A router knows which hosters are healthy.", "Short.", "", "Zürich – naïve façade", "日本語 text",
    "[SEP] is special, [ SEP ] is not", " ".join(CORPUS[:12]),
]  # fmt: skip
LABELS = ["weather", "sport", "trade"]
BERT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=40)


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=320, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=40, cls_token="[CLS]", sep_token="[SEP]",
                                   pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")


def byte_pairs(special, end):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, special.index(end))])
    return tokenizer


def larger(model, scales, seed):
    """Random weights are small: all texts would mean the same."""
    with torch.no_grad():
        for key, weights in model.named_parameters():
            if weights.dim() > 1:
                inner = not any(part in key for part in ("embed", "lm_head", "shared", "proj_out"))
                weights.mul_(scales[1] if inner else scales[0])
    return model


def sentence_bert():
    folder, tokenizer = HERE / "sentence-bert" / "1", word_pieces()
    torch.manual_seed(3)
    model = larger(BertModel(BertConfig(vocab_size=len(tokenizer), **BERT)).eval(), (4, 8), 3)
    shutil.rmtree(folder, ignore_errors=True)
    source = HERE / "saved"
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    answers = [{"text": text, "ids": tokenizer(text, truncation=True)["input_ids"]} for text in TEXTS]
    for mode in ("cls", "max", "mean"):
        transformer = modules.Transformer(str(source), max_seq_length=32)
        pooling = modules.Pooling(BERT["hidden_size"], pooling_mode=mode)
        for normalized in (False, True):
            parts = [transformer, pooling] + ([modules.Normalize()] if normalized else [])
            whole = SentenceTransformer(modules=parts, device="cpu")
            for one, vector in zip(answers, whole.encode(TEXTS)):
                if normalized and mode == "mean":
                    one["normalized"] = rounded(vector)
                elif not normalized:
                    one[mode] = rounded(vector)
    for one in answers:
        one["ids"] = transformer.tokenize([one["text"]])["input_ids"][0].tolist()
    whole.save(str(source / "whole"), create_model_card=False)
    onnx_export_from_model(model, output=folder, task="feature-extraction", do_validation=False)
    tokenizer.save_pretrained(folder)
    for name in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(source / "whole" / name, folder / name)
    shutil.rmtree(source)
    write("sentence-bert.json", answers)


def topic_bert():
    folder, tokenizer = HERE / "topic-bert" / "1", word_pieces()
    torch.manual_seed(4)
    config = BertConfig(vocab_size=len(tokenizer), id2label=dict(enumerate(LABELS)),
                        label2id={label: at for at, label in enumerate(LABELS)}, **BERT)
    config.architectures = ["BertForSequenceClassification"]
    model = larger(BertForSequenceClassification(config).eval(), (4, 8), 4)
    shutil.rmtree(folder, ignore_errors=True)
    answers = []
    for text in TEXTS:
        with torch.no_grad():
            logits = model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]
        answers.append({"text": text, "logits": rounded(logits), "scores": rounded(logits.softmax(-1)), "sigmoid": rounded(logits.sigmoid())})
    onnx_export_from_model(model, output=folder, task="text-classification", do_validation=False)
    tokenizer.save_pretrained(folder)
    write("topic-bert.json", answers)


def greedy(logits, prompt, end, count=32, suppress=(), first=()):
    tokens, margin = [], float("inf")
    with torch.no_grad():
        for at in range(count):
            last = logits(torch.tensor([prompt + tokens]))[0, -1]
            deviation = last.std()
            last[list(suppress) + (list(first) if at == 0 else [])] = -math.inf
            best = last.topk(2).values
            margin = min(margin, float((best[0] - best[1]) / deviation))
            tokens.append(int(last.argmax()))
            if tokens[-1] == end:
                break
    return {"tokens": tokens, "margin": round(margin, 6)}


def without_near_ties(make, answers_of, scales, ends):
    for seed in range(7, 400):
        torch.manual_seed(seed)
        model = larger(make().eval(), scales, seed)
        answers = answers_of(model)
        margin = min(answer["margin"] for answer in answers)
        kinds = sorted(len(set(answer["tokens"])) for answer in answers)
        ended = sum(len(answer["tokens"]) < 32 for answer in answers)
        # Answers that do not depend on the input would hide that it is not looked at.
        different = len({str(answer["tokens"]) for answer in answers})
        if margin > 1e-3 and kinds[len(kinds) // 2] > 6 and different == len(answers) and ended >= ends:
            print("seed", seed, "margin", margin, "distinct", kinds, "ended", ended, flush=True)
            return model, answers
    raise SystemExit("no seed without near ties")


def t5():
    folder = HERE / "t5" / "1"
    tokenizer = byte_pairs(["<pad>", "</s>", "<unk>"], "</s>")
    config = T5Config(vocab_size=304, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=2, num_heads=4, n_positions=128,
                      decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, tie_word_embeddings=False)
    prompts = [[5], [9, 4, 1], list(range(10, 60)), [290, 3] * 20, [7 * i % 299 for i in range(1, 100)]]
    texts = ["A router is", "translate: naïve"]

    def answers_of(model):
        answers = [{"prompt": ids} for ids in prompts]
        answers += [{"prompt": tokenizer.encode(text).ids, "text": text} for text in texts]
        for one in answers:
            with torch.no_grad():
                hidden = model.encoder(torch.tensor([one["prompt"]])).last_hidden_state
            one.update(greedy(lambda ids: model(encoder_outputs=(hidden,), decoder_input_ids=ids).logits, [0], 1))
            one["decoded"] = tokenizer.decode(one["tokens"])
        return answers

    model, answers = without_near_ties(lambda: T5ForConditionalGeneration(config), answers_of, (4, 8), 1)
    shutil.rmtree(folder, ignore_errors=True)
    onnx_export_from_model(model, output=folder, task="text2text-generation-with-past", do_validation=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    write("t5.json", answers)


def samples_of(clip):
    """Two tones that slide, at 16 kHz: a second of the first clip, 0.6 s of the others."""
    count = 16000 if clip == 0 else 9600
    t = numpy.arange(count) / 16000
    return (0.4 * numpy.sin(2 * math.pi * (300 + 500 * clip) * t * (1 + t)) + 0.1 * numpy.sin(2 * math.pi * 3000 * t)).astype(numpy.float32)


def whisper():
    folder = HERE / "whisper" / "1"
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer = byte_pairs(special, "<|endoftext|>")
    config = WhisperConfig(
        vocab_size=304, num_mel_bins=80, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_source_positions=50, max_target_positions=48,
        decoder_start_token_id=1, pad_token_id=0, bos_token_id=0, eos_token_id=0, suppress_tokens=None, begin_suppress_tokens=None)
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=1)
    suppress, first = [1, 2, 3, 4, 5, 6, 20, 21], [0, 30, 31, 32]
    asked = [(0, "en", "transcribe"), (1, "de", "transcribe"), (1, "en", "translate"), (2, "en", "transcribe"), (3, None, "transcribe")]

    def answers_of(model):
        answers = []
        for clip, language, task in asked:
            features = extractor(samples_of(clip), sampling_rate=16000, return_tensors="pt").input_features
            with torch.no_grad():
                hidden = model.model.encoder(features).last_hidden_state
            logits = lambda ids: model(encoder_outputs=(hidden,), decoder_input_ids=ids).logits
            with torch.no_grad():
                scores = logits(torch.tensor([[1]]))[0, -1, 2:4]
            token = special.index(f"<|{language}|>") if language else 2 + int(scores.argmax())
            prompt = [1, token, special.index(f"<|{task}|>"), 6]
            one = {"clip": clip, "language": language, "task": task, "prompt": prompt}
            one.update(greedy(logits, prompt, 0, suppress=suppress, first=first))
            one["decoded"] = tokenizer.decode(one["tokens"])
            one["features"] = rounded(features[0].flatten()[::37])
            answers.append(one)
        return answers

    model, answers = without_near_ties(lambda: WhisperForConditionalGeneration(config), answers_of, (4, 10), 0)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=1, eos_token_id=0, pad_token_id=0, bos_token_id=0, suppress_tokens=suppress, begin_suppress_tokens=first,
        is_multilingual=True, lang_to_id={"<|en|>": 2, "<|de|>": 3}, task_to_id={"translate": 4, "transcribe": 5},
        no_timestamps_token_id=6, max_length=48, return_timestamps=False)
    shutil.rmtree(folder, ignore_errors=True)
    onnx_export_from_model(model, output=folder, task="automatic-speech-recognition-with-past", do_validation=False, nb_max_frames=100)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    extractor.save_pretrained(folder)
    # The merged one is enough.
    for name in ("decoder_model.onnx", "decoder_with_past_model.onnx"):
        (folder / name).unlink(missing_ok=True)
    write("whisper.json", answers)


def rounded(vector):
    return [round(float(value), 6) for value in vector]


def write(name, value):
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in value)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sentence_bert()
    topic_bert()
    t5()
    whisper()
