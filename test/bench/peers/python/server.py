"""What one writes without a server for models: a stream is a session, a message is a frame.

Usage: server.py MODEL PORT HOW. `threads` and `asyncio` make one call to ONNX Runtime for each frame, with gRPC's two
interfaces; with `batches` frames that wait at the same time share a call. Messages are the samples and the
probability, float32, without protobuf.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime

CONTEXT = 64
MOST_ROWS = 64
# A stream keeps its thread for as long as it lasts.
MOST_STREAMS = 1024
RATE = np.array(16000, np.int64)


def load(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


class Voice:
    """The state of one stream."""

    def __init__(self):
        self.state = np.zeros((2, 1, 128), np.float32)
        self.context = np.zeros((1, CONTEXT), np.float32)


def run(session, rows):
    """rows: [(voice, samples[1, 512])]; one answer for each, in order."""
    voices = [voice for voice, _ in rows]
    sound = [np.concatenate((voice.context, samples), axis=1) for voice, samples in rows]
    states = [voice.state for voice in voices]
    alone = len(rows) == 1
    feeds = {
        "input": sound[0] if alone else np.concatenate(sound),
        "state": states[0] if alone else np.concatenate(states, axis=1),
        "sr": RATE,
    }
    answers, after = session.run(["output", "stateN"], feeds)
    for row, (voice, samples) in enumerate(rows):
        voice.state = after[:, row : row + 1]
        voice.context = samples[:, -CONTEXT:]
    return [answers[row].tobytes() for row in range(len(rows))]


class Batcher:
    """Frames that came in the same turn of the event loop share a run."""

    def __init__(self, session):
        self.session, self.waiting, self.due = session, [], False

    def ask(self, voice, samples):
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self.waiting.append((voice, samples, answer))
        if not self.due:
            self.due = True
            loop.call_soon(self.step)
        return answer

    def step(self):
        now, self.waiting = self.waiting[:MOST_ROWS], self.waiting[MOST_ROWS:]
        answers = run(self.session, [(voice, samples) for voice, samples, _ in now])
        for (_, _, future), answer in zip(now, answers):
            if not future.done():
                future.set_result(answer)
        self.due = len(self.waiting) > 0
        if self.due:
            asyncio.get_running_loop().call_soon(self.step)


def samples_of(message):
    return np.frombuffer(message, np.float32).reshape(1, -1)


def open_port(server, listen, port):
    handler = grpc.stream_stream_rpc_method_handler(listen)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Voice", {"Listen": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")


def serve_with_threads(session, port):
    def listen(messages, _context):
        voice = Voice()
        for message in messages:
            yield run(session, [(voice, samples_of(message))])[0]

    server = grpc.server(ThreadPoolExecutor(MOST_STREAMS))
    open_port(server, listen, port)
    server.start()
    server.wait_for_termination()


async def serve_with_asyncio(session, port, batcher):
    async def listen(_messages, context):
        voice = Voice()
        while (message := await context.read()) is not grpc.aio.EOF:
            samples = samples_of(message)
            if batcher is None:
                answer = run(session, [(voice, samples)])[0]
            else:
                answer = await batcher.ask(voice, samples)
            await context.write(answer)

    server = grpc.aio.server()
    open_port(server, listen, port)
    await server.start()
    await server.wait_for_termination()


def main(file, port, how):
    session = load(file)
    if how == "threads":
        serve_with_threads(session, port)
    else:
        batcher = Batcher(session) if how == "batches" else None
        asyncio.run(serve_with_asyncio(session, port, batcher))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
