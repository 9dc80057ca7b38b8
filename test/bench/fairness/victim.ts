/** A client that runs short sessions several times a second, in a process of its own. */
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import type { Target, ToVictim, Turns } from './messages';

const EVERY_MS = 100;
const PATIENCE_MS = 10_000;

/** Each model in turn, with what it answered first. */
const MODELS = [
  { model: 'g2p', prompt: 'taxi', inputs: undefined, answer: '' },
  {
    model: 'silero-vad',
    prompt: undefined,
    inputs: { audio: Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * 0.02) / 9) },
    answer: '',
  },
];

let right: number[] = [];
let failed: string[] = [];
let next = 0;

async function turn(sessions: SessionManager): Promise<void> {
  const begin = performance.now();
  const one = MODELS[next++ % MODELS.length];
  if (one === undefined) return;
  try {
    await using session = sessions.session({ model: one.model });
    let answer = '';
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for await (const chunk of session.runProtocolTask(one.prompt, one.inputs, { signal }))
      answer += one.prompt === undefined ? probability(chunk) : chunk.text;
    if (one.answer === '') one.answer = answer;
    if (answer === one.answer && answer !== '') right.push(performance.now() - begin);
    else failed.push('wrong');
  } catch (error) {
    failed.push(CabstandError.from(error).reason);
  }
}

function probability(chunk: Chunk): string {
  return float32Of(chunk.tensor('speech_probability'))[0]?.toFixed(3) ?? '';
}

async function run({ routers, auth }: Target): Promise<void> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(auth));
  const remote = new RemoteManager({ routers, authorizer });
  const sessions = new SessionManager(remote);
  // Connections and compiled code belong to no measurement.
  for (let i = 0; i < 20; i++) await turn(sessions);
  right = [];
  failed = [];
  process.send?.('ready');
  setInterval(() => void turn(sessions), EVERY_MS);
}

process.on('message', (message: ToVictim) => {
  if ('start' in message) {
    void run(message.start);
    return;
  }
  const turns: Turns = { right, failed };
  right = [];
  failed = [];
  process.send?.(turns);
});
