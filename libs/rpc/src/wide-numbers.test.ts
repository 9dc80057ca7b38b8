import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { HosterService } from './methods';
import type { InferenceStreamRequest, SessionStreamRequest } from './v1';

const turns = HosterService.rpc_inference_stream.request;
const streams = HosterService.rpc_session_stream.request;

const LIMIT = 2n ** 53n - 1n;
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: LIMIT - 3n, max: LIMIT + 5n }),
  fc.bigInt({ min: -LIMIT - 5n, max: 3n - LIMIT }),
  fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, 2n ** 53n + 1n),
);

/** A field of 64 bits: how to send it, where it arrives, and what it is refused as. */
type Field = readonly [
  name: string,
  reason: string,
  send: (value: string) => Buffer,
  read: (bytes: Buffer) => unknown,
];
const turnField = (
  name: string,
  reason: string,
  request: (value: string) => InferenceStreamRequest,
  read: (request: ReturnType<typeof turns.decode>) => unknown,
): Field => [name, reason, (v) => turns.encode(request(v)), (bytes) => read(turns.decode(bytes))];
const streamField = (
  name: string,
  reason: string,
  request: (value: string) => SessionStreamRequest,
  read: (request: ReturnType<typeof streams.decode>) => unknown,
): Field => [
  name,
  reason,
  (v) => streams.encode(request(v)),
  (bytes) => read(streams.decode(bytes)),
];

const owner = Buffer.alloc(16, 1);
const resume = (more: object): InferenceStreamRequest => ({
  resume: { checkpoint: null, replay: [], delivered_position: -1, turn: 0, ...more },
});

test.each<Field>([
  turnField(
    'epoch.counter',
    'INVALID_ARGUMENT',
    (counter) => ({ epoch: { counter, owner } }),
    ({ epoch }) => epoch?.counter,
  ),
  turnField(
    'turn',
    'TURN_OUT_OF_ORDER',
    (turn) => ({ turn }),
    ({ turn }) => turn,
  ),
  turnField(
    'from_position',
    'POSITION_INVALID',
    (from_position) => ({ from_position }),
    ({ from_position }) => from_position,
  ),
  turnField(
    'resume.checkpoint.position',
    'POSITION_INVALID',
    (position) => resume({ checkpoint: { position, sealed: owner } }),
    ({ resume: found }) => found?.checkpoint?.position,
  ),
  turnField(
    'resume.delivered_position',
    'POSITION_INVALID',
    (delivered_position) => resume({ delivered_position }),
    ({ resume: found }) => found?.delivered_position,
  ),
  turnField(
    'inputs[1].shape[2]',
    'INPUT_SHAPE',
    (size) => ({ inputs: [{ name: 'a' }, { name: 'b', shape: [1, 2, size] }] }),
    ({ inputs }) => inputs[1]?.shape[2],
  ),
  streamField(
    'open.epoch.counter',
    'INVALID_ARGUMENT',
    (counter) => ({ open: { epoch: { counter, owner } } }),
    ({ open }) => open?.epoch?.counter,
  ),
  streamField(
    'ack.position',
    'POSITION_INVALID',
    (position) => ({ ack: { position } }),
    ({ ack }) => ack?.position,
  ),
  streamField(
    'input.part',
    'INVALID_ARGUMENT',
    (part) => ({ input: { turn: 0, part, inputs: [{ data: Buffer.alloc(64, 255) }] } }),
    ({ input }) => input?.part,
  ),
])('%s passes as it was sent, or is refused as that', (name, reason, send, read) => {
  fc.assert(
    fc.property(int64, (value) => {
      const bytes = send(value.toString());
      if (-LIMIT <= value && value <= LIMIT) expect(read(bytes)).toBe(Number(value));
      else {
        let error: unknown;
        try {
          read(bytes);
        } catch (thrown) {
          error = thrown;
        }
        expect(CabstandError.from(error)).toMatchObject({
          reason,
          message: `${name}: got ${value}, expected a whole number from ${-LIMIT} to ${LIMIT}`,
          metadata: { field: name, value: value.toString() },
        });
      }
    }),
  );
});
