"""Makes models/g2p: the letters-to-phonemes network of g2p_en as two ONNX graphs.

The package holds weights and a NumPy implementation, no ONNX file. The graphs written here compute
one GRU cell a run, so that a hoster can run them letter by letter and phoneme by phoneme:

  encoder  letter [B] int64, h [B, 256] -> h_next [B, 256]
  decoder  token [B] int64, h [B, 256] -> logits [B, 74], h_next [B, 256]

The reference is the package's own `predict`, loaded from the package and run as it is. Its other
half, the pronouncing dictionary and the part-of-speech tagger, is not needed for `predict` and is
replaced by stand-ins before the import.
"""

import json
import pathlib
import sys
import types

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from common import MODELS, fetch, install, record, sequence, session, write_asset, write_golden

PACKAGE = ("pypi", "g2p-en", "2.1.0")
DIGEST = "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f"
HERE = pathlib.Path(__file__).resolve().parent
UNITS = 256
GOLDEN = ["tokenizer", "cabstand", "streaming", "knight", "frumious", "i", "journalism"]
GOLDEN += ["pneumonoultramicroscopicsilicovolcanoconiosis"]  # never says stop: 20 phonemes, then the limit


def load_reference(package):
    """An instance of the package's own class, with stand-ins for what `predict` does not use."""
    nltk = types.ModuleType("nltk")
    nltk.pos_tag = None
    nltk.data = types.SimpleNamespace(find=lambda name: None)
    corpus = types.ModuleType("nltk.corpus")
    corpus.cmudict = types.SimpleNamespace(dict=dict)
    tokenize = types.ModuleType("nltk.tokenize")
    tokenize.TweetTokenizer = lambda: types.SimpleNamespace(tokenize=None)
    inflect = types.ModuleType("inflect")
    inflect.engine = lambda: None
    stand_ins = {"nltk": nltk, "nltk.corpus": corpus, "nltk.tokenize": tokenize, "inflect": inflect}
    sys.modules.update(stand_ins)
    sys.path.insert(0, str(package))
    from g2p_en.g2p import G2p

    return G2p()


def cell(prefix, symbol, ids, reference):
    """Nodes and weights of one embedding look-up and one GRU cell: ids, h -> h_next."""
    weights = {
        "embedding": getattr(reference, f"{prefix}_emb"),
        "input_weight": getattr(reference, f"{prefix}_w_ih").T,
        "input_bias": getattr(reference, f"{prefix}_b_ih"),
        "hidden_weight": getattr(reference, f"{prefix}_w_hh").T,
        "hidden_bias": getattr(reference, f"{prefix}_b_hh"),
        "one": np.array(1, np.float32),
        "gates": np.array([2 * UNITS, UNITS], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", ids], ["x"], axis=0),
        node("MatMul", ["x", "input_weight"], ["x_weighted"]),
        node("Add", ["x_weighted", "input_bias"], ["x_gates"]),
        node("MatMul", ["h", "hidden_weight"], ["h_weighted"]),
        node("Add", ["h_weighted", "hidden_bias"], ["h_gates"]),
        node("Split", ["x_gates", "gates"], ["x_rz", "x_n"], axis=1),
        node("Split", ["h_gates", "gates"], ["h_rz", "h_n"], axis=1),
        node("Add", ["x_rz", "h_rz"], ["rz_sum"]),
        node("Sigmoid", ["rz_sum"], ["rz"]),
        node("Split", ["rz"], ["r", "z"], axis=1, num_outputs=2),
        node("Mul", ["r", "h_n"], ["h_reset"]),
        node("Add", ["x_n", "h_reset"], ["n_sum"]),
        node("Tanh", ["n_sum"], ["n"]),
        node("Sub", ["one", "z"], ["keep_new"]),
        node("Mul", ["keep_new", "n"], ["new_part"]),
        node("Mul", ["z", "h"], ["old_part"]),
        node("Add", ["new_part", "old_part"], ["h_next"]),
    ]
    inputs = [
        helper.make_tensor_value_info(ids, TensorProto.INT64, [symbol]),
        helper.make_tensor_value_info("h", TensorProto.FLOAT, [symbol, UNITS]),
    ]
    outputs = [helper.make_tensor_value_info("h_next", TensorProto.FLOAT, [symbol, UNITS])]
    return nodes, inputs, outputs, weights


def save(name, nodes, inputs, outputs, weights):
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in weights.items()
    ]
    graph = helper.make_graph(nodes, name, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model.producer_name = "scripts/models/g2p.py"
    onnx.checker.check_model(model, full_check=True)
    path = MODELS / "g2p" / "1" / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    print(f"{path.name}: {path.stat().st_size} bytes")
    return session(path)


def build(reference):
    encoder = save("encoder", *cell("enc", "batch", "letter", reference))
    nodes, inputs, outputs, weights = cell("dec", "batch", "token", reference)
    weights["output_weight"] = reference.fc_w.T
    weights["output_bias"] = reference.fc_b
    nodes.append(helper.make_node("MatMul", ["h_next", "output_weight"], ["scores"]))
    nodes.append(helper.make_node("Add", ["scores", "output_bias"], ["logits"]))
    size = len(reference.phonemes)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", size])
    decoder = save("decoder", nodes, inputs, [logits, *outputs], weights)
    return encoder, decoder


def run_graphs(reference, encoder, decoder, words):
    """Runs all words as one batch; each word's ids, stopped or not, and its smallest margin.

    The margin is between the best and the second best score of a step: how far a result is from
    another choice.
    """
    letters = [[reference.g2idx[c] for c in word] + [reference.g2idx["</s>"]] for word in words]
    h = np.zeros((len(words), UNITS), np.float32)
    for index in range(max(map(len, letters))):
        rows = [i for i, item in enumerate(letters) if index < len(item)]
        ids = np.array([letters[i][index] for i in rows], np.int64)
        (h[rows],) = encoder.run(["h_next"], {"letter": ids, "h": h[rows]})
    stop = reference.p2idx["</s>"]
    tokens = np.full(len(words), reference.p2idx["<s>"], np.int64)
    out, stopped = [[] for _ in words], [False] * len(words)
    margins = np.full(len(words), np.inf)
    for _ in range(20):
        rows = [i for i in range(len(words)) if not stopped[i]]
        if not rows:
            break
        logits, h[rows] = decoder.run(["logits", "h_next"], {"token": tokens[rows], "h": h[rows]})
        best = np.sort(logits, axis=1)[:, -2:]
        margins[rows] = np.minimum(margins[rows], best[:, 1] - best[:, 0])
        for i, token in zip(rows, logits.argmax(axis=1)):
            tokens[i] = token
            if token == stop:
                stopped[i] = True
            else:
                out[i].append(int(token))
    return out, stopped, margins


def main():
    package = fetch(*PACKAGE, DIGEST)
    (licence,) = package.glob("*.dist-info/LICENSE.txt")
    install(licence, "g2p", "LICENSE")
    reference = load_reference(package)
    encoder, decoder = build(reference)
    for name, vocabulary in (("letters", reference.graphemes), ("phonemes", reference.phonemes)):
        path = MODELS / "g2p" / "1" / f"{name}.json"
        path.write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
        print(f"{path.name}: {len(vocabulary)} entries")

    records = []
    for word in GOLDEN:
        rows = []
        for phoneme in reference.predict(word):
            ids = np.array([reference.p2idx[phoneme]], np.int64)
            rows.append(record(text=phoneme, token=ids))
        records.append(sequence(rows, prompt=word))
    write_golden(
        "g2p",
        "scripts/models/g2p.py",
        "g2p_en 2.1.0: its own predict(), the letters-only network in NumPy",
        records,
    )

    words = list(dict.fromkeys((HERE / "words.txt").read_text().split()))
    expected = [reference.predict(word) for word in words]
    together, stopped, margins = run_graphs(reference, encoder, decoder, words)
    alone = [run_graphs(reference, encoder, decoder, [word]) for word in words]
    for i, word in enumerate(words):
        for kind, ids in (("in one batch", together[i]), ("alone", alone[i][0][0])):
            found = [reference.phonemes[token] for token in ids]
            if found != expected[i]:
                raise SystemExit(f"{word} {kind}: {found}, the reference says {expected[i]}")
    drift = 0.0
    for size in range(2, 9):
        rng = np.random.default_rng(size)
        ids = rng.integers(4, 74, size)
        h = rng.uniform(-1, 1, (size, UNITS)).astype(np.float32)
        whole = decoder.run(None, {"token": ids, "h": h})
        for i in range(size):
            one = decoder.run(None, {"token": ids[i : i + 1], "h": h[i : i + 1]})
            drift = max([drift, *(np.abs(a[i] - b[0]).max() for a, b in zip(whole, one))])
    print(f"decoder rows in batches of 2 to 8 differ from the same rows alone by at most {drift:.1e}")
    print(
        f"{len(words)} words, {sum(map(len, expected))} phonemes, {stopped.count(False)} words cut at 20;"
        f" all equal to the reference, alone and in one batch; smallest margin {margins.min():.1e}"
    )
    write_asset(
        "g2p-words.json",
        {
            "made_by": "scripts/models/g2p.py",
            "reference": "g2p_en 2.1.0, predict()",
            "words": [
                {"word": word, "phonemes": " ".join(expected[i]), "stopped": stopped[i]}
                for i, word in enumerate(words)
            ],
        },
    )


if __name__ == "__main__":
    main()
