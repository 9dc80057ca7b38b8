import { sleep } from '@cabstand/core';
import { HosterService, RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { audioOf, newSession } from './bob';
import type { Bob } from './bob';

/** What one principal can do to others with calls that are allowed to it, or refused. */
export interface Attack {
  readonly name: string;
  /** Runs until its process ends. */
  run(bob: Bob): Promise<void>;
}

/** More than both hosters together have slots of a model. */
const SLOTS = 2200;
/** Sessions that hold much each. */
const MANY = 160;
const MIB = 1 << 20;
const FRAME = audioOf(2048);
/** Records of a turn with it, without its end. */
const FRAME_RECORDS = 1;
const LONG_MS = 3_600_000;

/** A turn at a hoster to its end; throws what it is refused with. */
async function turn(
  bob: Bob,
  at: number,
  request: v1.InferenceStreamRequest,
  timeoutMs = 60_000,
): Promise<'done'> {
  const client = bob.client(bob.hoster(at));
  const call = { timeoutMs };
  for await (const _ of client.serverStream(HosterService.rpc_inference_stream, request, call));
  return 'done';
}

/** A kept session after one turn, asked for its whereabouts until it is gone. */
async function keep(bob: Bob, at: number): Promise<string> {
  const session = newSession();
  const model = at % 4 < 2 ? 'g2p' : 'silero-vad';
  const input = model === 'g2p' ? { prompt: 'cab' } : { inputs: [FRAME] };
  await turn(bob, at, { ...session, turn: 0, model, keep_session: true, ...input });
  const client = bob.client(bob.hoster(at));
  const gone = async (): Promise<void> => {
    for (;;) {
      const { state } = await client.unary(HosterService.rpc_session_status, session, {
        timeoutMs: 10_000,
      });
      if (state === 'SESSION_STATE_ENDED') return;
      await sleep(1000);
    }
  };
  await bob.hold(gone().catch(() => undefined));
  return 'taken back';
}

/** A durable session that has everything, and is left alone for good. */
async function leave(bob: Bob, at: number): Promise<'done'> {
  const session = newSession();
  const request = { durable: true, turn: 0, model: 'silero-vad', inputs: [FRAME] };
  await turn(bob, at, { ...session, ...request });
  const ack = { position: FRAME_RECORDS };
  await bob
    .client(bob.hoster(at))
    .unary(HosterService.rpc_session_update, { ...session, ack }, { timeoutMs: 10_000 });
  return 'done';
}

/** A live turn that never gets any input. */
async function silence(bob: Bob, at: number): Promise<string> {
  const client = bob.client(bob.hoster(at));
  const stream = client.bidi(HosterService.rpc_session_stream, { timeoutMs: LONG_MS });
  await stream.send({ open: { ...newSession(), model: 'silero-vad' } });
  await stream.send({ turn: { turn: 0, live: true } });
  const records = (async () => {
    for await (const { notice } of stream.responses) if (notice?.opened) bob.count('opened');
  })();
  await bob.hold(records);
  return 'ended';
}

/** A durable session that claims to go on from elsewhere, and is left at once. */
async function orphan(bob: Bob, at: number): Promise<string> {
  const leave = new AbortController();
  const client = bob.client(bob.hoster(at));
  const stream = client.serverStream(
    HosterService.rpc_inference_stream,
    {
      ...newSession(),
      ...{ durable: true, turn: 0, model: 'silero-vad', inputs: [audioOf(MIB)] },
      resume: { delivered_position: -1 },
    },
    { signal: leave.signal, timeoutMs: 30_000 },
  );
  for await (const { record } of stream) if (record) break;
  leave.abort();
  return 'left behind';
}

async function reserve(bob: Bob, resume: boolean): Promise<string> {
  const { session_id } = newSession();
  await bob
    .client(bob.router)
    .unary(RouterService.rpc_acquire, { model: 'g2p', session_id, resume }, { timeoutMs: 10_000 });
  return 'reserved';
}

/** A durable turn that stands still as soon as its journal is full, since nobody acknowledges it. */
async function unacknowledged(bob: Bob, at: number): Promise<string> {
  const request = { durable: true, turn: 0, model: 'silero-vad', inputs: [audioOf(MIB)] };
  await bob.hold(turn(bob, at, { ...newSession(), ...request }, LONG_MS));
  return 'ended';
}

/** Reads nothing of what it asked for. */
async function unread(bob: Bob, at: number, bytes: number): Promise<string> {
  const stream = bob
    .client(bob.hoster(at))
    .serverStream(
      HosterService.rpc_inference_stream,
      { model: 'silero-vad', inputs: [audioOf(bytes)] },
      { timeoutMs: LONG_MS },
    );
  const first = stream[Symbol.asyncIterator]();
  await first.next();
  await bob.hold(sleep(LONG_MS));
  return 'ended';
}

async function watch(bob: Bob): Promise<string> {
  const stream = bob
    .client(bob.router)
    .serverStream(RouterService.rpc_watch_nodes, {}, { timeoutMs: LONG_MS });
  const read = (async () => {
    for await (const _ of stream);
  })();
  await bob.hold(read);
  return 'ended';
}

/** A call that says nothing. */
async function mute(bob: Bob): Promise<string> {
  const stream = bob
    .client(bob.hoster(0))
    .bidi(HosterService.rpc_session_stream, { timeoutMs: LONG_MS });
  const read = (async () => {
    for await (const _ of stream.responses);
  })();
  await bob.hold(read);
  return 'ended';
}

async function info(bob: Bob, at: number): Promise<'done'> {
  await bob.client(bob.hoster(at)).unary(HosterService.rpc_info, {}, { timeoutMs: 10_000 });
  return 'done';
}

async function forged(bob: Bob, at: number): Promise<'done'> {
  await bob.forger(at).unary(HosterService.rpc_info, {}, { timeoutMs: 10_000 });
  return 'done';
}

export const ATTACKS: readonly Attack[] = [
  { name: 'kept sessions between turns', run: (bob) => bob.loop(2 * MANY, (n) => keep(bob, n)) },
  { name: 'idle durable sessions, ever more', run: (bob) => bob.loop(32, (n) => leave(bob, n)) },
  {
    name: 'live turns without input in all slots',
    run: (bob) => bob.loop(SLOTS, (n) => silence(bob, n)),
  },
  { name: 'orphans by made-up resumes', run: (bob) => bob.loop(8, (n) => orphan(bob, n)) },
  { name: 'unused reservations', run: (bob) => bob.loop(8, () => reserve(bob, false)) },
  { name: 'reservations to resume', run: (bob) => bob.loop(8, () => reserve(bob, true)) },
  {
    name: '50 loops of g2p at priority 9',
    run: (bob) =>
      bob.loop(50, (n) => turn(bob, n, { model: 'g2p', prompt: 'cabstand', priority: 9 })),
  },
  {
    name: '56 loops of 1 MiB of audio at priority 9',
    run: (bob) =>
      bob.loop(56, (n) =>
        turn(bob, n, { model: 'silero-vad', inputs: [audioOf(MIB)], priority: 9 }),
      ),
  },
  {
    name: '40 readers that read nothing of 4 MiB',
    run: (bob) => bob.loop(40, (n) => unread(bob, n, 4 * MIB)),
  },
  {
    name: 'turns that are never acknowledged',
    run: (bob) => bob.loop(MANY, (n) => unacknowledged(bob, n)),
  },
  { name: '9,000 watches', run: (bob) => bob.loop(9000, () => watch(bob)) },
  { name: '10,000 calls that say nothing', run: (bob) => bob.loop(10_000, () => mute(bob)) },
  { name: '60 loops of rpc_info', run: (bob) => bob.loop(60, (n) => info(bob, n)) },
  { name: '200 loops of forged credentials', run: (bob) => bob.loop(200, (n) => forged(bob, n)) },
];
