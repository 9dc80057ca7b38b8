"""Makes test/assets/speech.wav: about ten seconds of synthesized speech, 16 kHz mono int16.

Needs espeak-ng 1.51 on the path. Two voices speak one sentence each, with silence around them.
"""

import io
import subprocess
import wave

import numpy as np

from common import ASSETS

RATE = 16000
PARTS = [
    0.5,
    ("en-us", "The quick brown fox jumps over the lazy dog, and nobody at the cab stand looks up."),
    0.8,
    ("en-gb+f3", "Where to, please? To the station, and wait for me there."),
    0.7,
]


def speak(voice, text):
    command = ["espeak-ng", "-v", voice, "-s", "165", "--stdout", text]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(out)) as source:
        rate = source.getframerate()
        samples = np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(np.float64)
    # Band-limit to 7.5 kHz and resample in the frequency domain: exact, and the same everywhere.
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > 7500] = 0
    count = int(len(samples) * RATE / rate)
    size = count // 2 + 1
    resized = np.zeros(size, complex)
    resized[: min(size, len(spectrum))] = spectrum[:size]
    return np.fft.irfft(resized, count) * count / len(samples)


def main():
    pieces = [speak(*p) if isinstance(p, tuple) else np.zeros(int(p * RATE)) for p in PARTS]
    samples = np.concatenate(pieces)
    samples *= 0.5 * 32767 / np.abs(samples).max()
    # A quiet noise floor, as any microphone has one.
    samples += np.random.default_rng(1).normal(0, 8, len(samples))
    path = ASSETS / "speech.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.round(samples).astype("<i2").tobytes())
    print(f"speech.wav: {len(samples) / RATE:.2f} s, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
