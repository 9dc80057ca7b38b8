/** A microphone in a process of its own: a frame each 32 ms, and when the records come. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import type { Heard, Target, ToListener } from './messages';

const FRAME_MS = 32;
const AUDIO = toWire(
  tensorOf(
    'audio',
    Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * 0.02) / 9),
  ),
);

const delays = monitorEventLoopDelay({ resolution: 1 });
let times: number[] = [];
let ended: string | undefined;

async function listen({ address, auth }: Target): Promise<void> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(auth));
  const stream = new RpcClient(address, { authorizer }).bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { model: 'silero-vad' } });
  await stream.send({ turn: { turn: 0, live: true } });
  void speak(stream);
  for await (const { record } of stream.responses)
    if (record?.chunk) {
      times.push(performance.now());
      if (times.length === 1) process.send?.('flows');
    }
}

async function speak(stream: BidiStream<v1.SessionStreamRequest, unknown>): Promise<void> {
  const start = performance.now();
  for (let part = 0; ended === undefined; part++) {
    await stream.send({ input: { turn: 0, part, inputs: [AUDIO] } });
    const due = start + (part + 1) * FRAME_MS - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due)));
  }
}

/** The last record before belongs to the first gap of what follows. */
function take(): Heard {
  const heard = times;
  times = heard.slice(-1);
  const ownDelay = Math.max(0, delays.max / 1e6 - 1);
  delays.reset();
  return { gaps: heard.slice(1).map((time, i) => time - (heard[i] ?? time)), ownDelay, ended };
}

process.on('message', (message: ToListener) => {
  if ('take' in message) {
    process.send?.(take());
    return;
  }
  delays.enable();
  listen(message.start)
    .then(
      () => 'the stream ended',
      (error: unknown) => String(error),
    )
    .then(
      (why) => (ended = why),
      () => undefined,
    );
});
