/** A client of many live sessions, each a frame every so often, in a process of its own. */
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { CabstandError, sleep } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import { MODEL } from './microphone';

interface Start {
  readonly routers: readonly string[];
  readonly auth: object;
  readonly sessions: number;
  readonly beatMs: number;
}

/** To this process: open the sessions, send frames or none, or tell what there was since it was asked last. */
export type ToLive =
  { readonly start: Start } | { readonly streaming: boolean } | { readonly take: true };

const SOUND = tensorOf(
  'audio',
  Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * 0.02) / 9),
);

/** Milliseconds from a frame to its record. */
let times: number[] = [];
/** On a machine that others use, too, a record may take long: that is a figure, and no failure. */
const PATIENT = { firstMs: 60_000, stallMs: 60_000 };

let streaming = false;
/** What ended a session. */
let error: string | undefined;

async function stream(sessions: SessionManager, beatMs: number, ready: () => void): Promise<void> {
  const turn = sessions.session({ model: MODEL }).live();
  let due = performance.now() + beatMs * Math.random();
  for (let beats = 0; ;) {
    if (beats > 0 && !streaming) {
      await sleep(beatMs);
      due = performance.now() + beatMs * Math.random();
      continue;
    }
    const begun = performance.now();
    await turn.write([SOUND]);
    await turn.next();
    if (beats++ === 0) ready();
    else times.push(performance.now() - begun);
    due += beatMs;
    await sleep(Math.max(0, due - performance.now()));
  }
}

async function run({ routers, auth, sessions: count, beatMs }: Start): Promise<void> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(auth));
  const remote = new RemoteManager({ routers, authorizer });
  const sessions = new SessionManager(remote, { timeouts: PATIENT });
  for (let i = 0; i < count; i++)
    await new Promise<void>((resolve) => {
      stream(sessions, beatMs, resolve).catch((thrown: unknown) => {
        error ??= CabstandError.from(thrown).message;
        resolve();
      });
    });
  process.send?.('ready');
}

process.on('message', (message: ToLive) => {
  if ('start' in message) {
    void run(message.start);
    return;
  }
  if ('streaming' in message) {
    streaming = message.streaming;
    process.send?.('ready');
    return;
  }
  process.send?.({ times, ...(error === undefined ? {} : { error }) });
  times = [];
});
