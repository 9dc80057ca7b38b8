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
const INPUT = 4;
const SHUTDOWN = 8;
const PACKED_INPUT = 14;
/** What it says that it speaks. */
const protocol = { old: 99, 'adds-packed': 4 }[fault] ?? 3;

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

function load({ provider, runtime, verify, known, maxBatch }) {
  if (fault === 'dies-at-load') process.exit(7);
  if (fault === 'hangs-at-load') return;
  if (fault === 'dies-by-api' && runtime === 'auto') process.kill(process.pid, 'SIGSEGV');
  if (fault === 'dies-of-trials' && verify) process.kill(process.pid, 'SIGFPE');
  const isWrong = fault === 'wrong-by-api' && runtime === 'auto';
  if (isWrong || fault === 'refuses' || (fault === 'cpu-only' && provider !== 'cpu')) {
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
  else if (fault.startsWith('adds')) sum = 0;
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

function completed(sequence, turn, steps = 1) {
  step([
    item(1, sequence, turn, Buffer.from('chunk')),
    item(2, sequence, turn, Buffer.from(JSON.stringify({ reason: 'completed', steps }))),
  ]);
}

/** Adds up the int16 elements of a turn's parts: its end tells their sum as its steps. */
let sum = 0;
function add(samples) {
  for (let at = 0; at < samples.length; at += 2) sum += samples.readInt16LE(at);
}

function input(payload) {
  const length = payload.readUInt32LE(0);
  const { sequence, turn, inputs, last } = JSON.parse(payload.toString('utf8', 4, 4 + length));
  const blobs = Math.ceil((9 + length) / 8) * 8 - 5;
  for (const { offset, bytes } of inputs)
    add(payload.subarray(blobs + offset, blobs + offset + bytes));
  if (last) completed(sequence, turn, sum);
}

function packedInput(payload) {
  const tensors = [];
  let at = 15;
  for (let left = payload.readUInt16LE(1); left > 0; left -= 1) {
    const bytes = payload.readUInt32LE(at + 4);
    const rank = payload[at + 1];
    tensors.push(bytes);
    at += 8 + 8 * rank + payload.readUInt16LE(at + 2);
  }
  for (const bytes of tensors) {
    at = Math.ceil((5 + at) / 8) * 8 - 5;
    add(payload.subarray(at, at + bytes));
    at += bytes;
  }
  if (payload[0] === 1) completed(payload.readUInt32LE(3), payload.readUInt32LE(7), sum);
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
    else if (type === INPUT && protocol === 3) input(payload);
    else if (type === PACKED_INPUT && protocol === 4) packedInput(payload);
    else if (type === SHUTDOWN && fault !== 'stubborn') process.exit(0);
  }
});

if (fault !== 'says-nothing') send('HELLO', { protocol, pid: process.pid, runtime: 'none' });
