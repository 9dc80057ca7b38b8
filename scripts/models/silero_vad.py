"""Makes models/silero-vad from the authors' package, and test/assets/speech-probabilities.json.

The reference is ONNX Runtime from Python, driven as the package's own wrapper drives it: 512 samples
a step with the 64 samples before them in front, the state of one step fed to the next.
"""

import wave

import numpy as np

from common import ASSETS, fetch, install, record, sequence, session, tensor, write_asset, write_golden

PACKAGE = ("pypi", "silero-vad", "5.1.2")
DIGEST = "93b41953d7774b165407fda6b533c119c5803864e367d5034dc626c82cfdf661"
FRAME, CARRY = 512, 64


def reference(model, rows):
    """Probabilities [steps, rows] for float32 audio [rows, samples]."""
    count = rows.shape[0]
    state = np.zeros((2, count, 128), np.float32)
    carried = np.zeros((count, CARRY), np.float32)
    out = []
    for start in range(0, rows.shape[1] - FRAME + 1, FRAME):
        frame = np.concatenate([carried, rows[:, start : start + FRAME]], axis=1)
        feeds = {"input": frame, "state": state, "sr": np.array(16000, np.int64)}
        output, state = model.run(None, feeds)
        carried = frame[:, -CARRY:]
        out.append(output[:, 0])
    return np.array(out, np.float32)


def main():
    package = fetch(*PACKAGE, DIGEST)
    path = install(package / "silero_vad/data/silero_vad.onnx", "silero-vad", "1/silero_vad.onnx")
    (licence,) = package.glob("*.dist-info/**/LICENSE")
    install(licence, "silero-vad", "LICENSE")
    model = session(path)

    with wave.open(str(ASSETS / "speech.wav")) as source:
        speech = np.frombuffer(source.readframes(source.getnframes()), "<i2")
    whole = reference(model, (speech.astype(np.float32) / 32768)[None])[:, 0]

    # From silence into the first voice as float32, from the second voice into silence as int16.
    first = speech[4 * FRAME : 28 * FRAME].astype(np.float32) / 32768
    second = speech[(len(speech) // FRAME - 56) * FRAME :][: 48 * FRAME]
    sequences = []
    for samples in (first, second):
        floats = samples if samples.dtype == np.float32 else samples.astype(np.float32) / 32768
        answers = reference(model, floats[None])[:, 0]
        records = [record(speech_probability=p.reshape(1, 1)) for p in answers]
        sequences.append(sequence(records, inputs={"audio": tensor(samples)}))
        print(f"golden {samples.dtype}: {len(answers)} steps, {answers.min():.4f} to {answers.max():.4f}")
    write_golden(
        "silero-vad",
        "scripts/models/silero_vad.py",
        "ONNX Runtime 1.32.0 for Python, CPU, one thread; 64 samples of context before each frame of 512",
        sequences,
    )

    write_asset(
        "speech-probabilities.json",
        {
            "made_by": "scripts/models/silero_vad.py",
            "file": "speech.wav",
            "frame": FRAME,
            "speech_probability": [round(float(p), 6) for p in whole],
        },
    )
    print(f"speech.wav: {len(whole)} frames, {int((whole > 0.5).sum())} of them above 0.5")

    # Rows of a batch must equal the same audio alone.
    floats = speech.astype(np.float32) / 32768
    for size in range(2, 9):
        rows = np.stack([np.roll(floats, 7919 * i)[: 60 * FRAME] for i in range(size)])
        together = reference(model, rows)
        alone = np.concatenate([reference(model, rows[i : i + 1]) for i in range(size)], axis=1)
        print(f"batch of {size}: largest difference {np.abs(together - alone).max():.1e}")


if __name__ == "__main__":
    main()
