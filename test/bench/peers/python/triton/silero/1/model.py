"""The same for Triton's Python backend: one call to ONNX Runtime for all frames that it hands over at once."""

import os
import sys

# The backend brings an interpreter of its own, which does not look into virtual environments.
sys.path.insert(0, os.environ["BENCH_SITE_PACKAGES"])

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402

CONTEXT = 64
RATE = np.array(16000, np.int64)
# State and context of a stream that begins.
NEW = (np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32))


class TritonPythonModel:
    def initialize(self, _arguments):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = os.environ["BENCH_MODEL"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.voices = {}

    def execute(self, requests):
        """Several frames of one stream may be there, in order: each of them waits for the one before."""
        answers = [None] * len(requests)
        turns = []
        ended = set()
        taken = {}
        for index, request in enumerate(requests):
            audio = triton.get_input_tensor_by_name(request, "audio").as_numpy()
            stream, last = triton.get_input_tensor_by_name(request, "stream").as_numpy()[0]
            turn = taken[stream] = taken.get(stream, -1) + 1
            if turn == len(turns):
                turns.append([])
            turns[turn].append((index, stream, audio))
            if last == 1:
                ended.add(stream)
        for rows in turns:
            for (index, _, _), answer in zip(rows, self.run(rows)):
                answers[index] = triton.InferenceResponse([triton.Tensor("probability", answer)])
        for stream in ended:
            del self.voices[stream]
        return answers

    def run(self, rows):
        """rows: [(_, stream, samples[1, 512])] of different streams; answers[1, 1] in the same order."""
        voices = [self.voices.get(stream, NEW) for _, stream, _ in rows]
        sound = [np.concatenate((context, audio), axis=1) for (_, _, audio), (_, context) in zip(rows, voices)]
        states = np.concatenate([state for state, _ in voices], axis=1)
        feeds = {"input": np.concatenate(sound), "state": states, "sr": RATE}
        answers, after = self.session.run(["output", "stateN"], feeds)
        for row, (_, stream, _) in enumerate(rows):
            self.voices[stream] = (after[:, row : row + 1], sound[row][:, -CONTEXT:])
        return [answers[row : row + 1] for row in range(len(rows))]
