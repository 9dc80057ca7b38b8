/**
 * An engine without a model that fails on demand, and that speaks the frame protocol without the
 * project's own codec: what any engine in another language would do.
 *
 * Usage: node faulty-engine.fixture.mjs <fault> --socket <path>
 */
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { setInterval } from 'node:timers';

const [fault, , path] = process.argv.slice(2);
const TYPES = { HELLO: 64, PROGRESS: 65, LOADED: 66, FAILED: 67, STEP: 68, STATS: 69, AUDIT: 70 };
const LOAD = 1;
const TURN = 3;
const SHUTDOWN = 8;

const socket = connect(path);
socket.on('close', () => process.exit(0));
socket.on('error', () => process.exit(1));

function frame(type, payload) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32LE(payload.length + 1, 0);
  prefix[4] = type;
  socket.write(Buffer.concat([prefix, payload]));
}

function send(type, header) {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length, 0);
  frame(TYPES[type], Buffer.concat([length, json]));
}

function item(kind, sequence, turn, body) {
  const head = Buffer.alloc(13);
  head[0] = kind;
  head.writeUInt32LE(sequence, 1);
  head.writeUInt32LE(turn, 5);
  head.writeUInt32LE(body.length, 9);
  return Buffer.concat([head, body]);
}

function step(items) {
  const head = Buffer.alloc(16);
  head.writeDoubleLE(0.001, 0);
  head.writeUInt32LE(1, 8);
  head.writeUInt32LE(items.length, 12);
  frame(TYPES.STEP, Buffer.concat([head, ...items]));
}

function stats(ready, rssBytes = 1_000, audits = 0) {
  send('STATS', {
    rssBytes,
    busySeconds: 0,
    sequences: 0,
    stateBytes: 0,
    ready,
    audits,
    auditSeconds: 0,
  });
}

function load({ provider, verify, known, maxBatch }) {
  if (fault === 'dies-at-load') process.exit(7);
  if (fault === 'hangs-at-load') return;
  if (fault === 'dies-of-trials' && verify) process.kill(process.pid, 'SIGFPE');
  if (fault === 'refuses' || (fault === 'cpu-only' && provider !== 'cpu')) {
    send('FAILED', {
      reason: 'VERIFICATION_FAILED',
      message: `${provider} computes something else`,
      metadata: {},
    });
    return;
  }
  send('PROGRESS', { stage: verify ? 'verifying 1 of 1' : 'loading' });
  send('LOADED', {
    provider,
    batchClass: known?.batchClass ?? 'exact',
    runtime: 'none',
    goldenError: 0,
    reference: known?.reference ?? 'golden',
    unbatchedBecause: known?.unbatchedBecause ?? '',
    notes: known?.notes ?? [],
    stateBytesPerSequence: 100,
    maxBatch: known?.maxBatch ?? maxBatch,
    loadSeconds: 0.01,
    verifySeconds: verify ? 0.01 : 0,
    outputs: [],
  });
  if (fault === 'dies-soon') setTimeout(() => process.exit(3), 20);
  if (fault === 'hog') stats(0, 2 ** 50);
}

function turn({ sequence, turn }) {
  if (fault === 'dies-at-turn') process.exit(4);
  else if (fault === 'garbage') socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
  else if (fault === 'names-paths')
    send('FAILED', { reason: 'INTERNAL', message: `no ${tmpdir()}/x/y.bin`, metadata: {} });
  else if (fault === 'mute') setInterval(() => stats(1), 50);
  else if (fault === 'leaks') {
    const finding = {
      output: 'y[0]',
      got: '2',
      expected: '1',
      error: 1,
      inputsDigest: 'sha256:00',
    };
    stats(0, 1_000, 3);
    send('AUDIT', { batchClass: 'unbatched', ...finding });
    completed(sequence, turn);
  } else completed(sequence, turn);
}

function completed(sequence, turn) {
  step([
    item(1, sequence, turn, Buffer.from('chunk')),
    item(2, sequence, turn, Buffer.from(JSON.stringify({ reason: 'completed', steps: 1 }))),
  ]);
}

let pending = Buffer.alloc(0);
socket.on('data', (bytes) => {
  pending = Buffer.concat([pending, bytes]);
  for (;;) {
    if (pending.length < 4) return;
    const length = pending.readUInt32LE(0);
    if (pending.length < 4 + length) return;
    const type = pending[4];
    const payload = pending.subarray(5, 4 + length);
    pending = pending.subarray(4 + length);
    const header = () => JSON.parse(payload.toString('utf8', 4, 4 + payload.readUInt32LE(0)));
    if (type === LOAD) load(header());
    else if (type === TURN) turn(header());
    else if (type === SHUTDOWN && fault !== 'stubborn') process.exit(0);
  }
});

if (fault !== 'says-nothing')
  send('HELLO', { protocol: fault === 'old' ? 99 : 2, pid: process.pid, runtime: 'none' });
