import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { HosterService, RouterService } from '../methods';
import type { Method } from '../methods';
import { rig } from '../rpc.fixture';
import type * as v1 from '../v1';
import { decodeInSlices } from './decode';
import { requestReader } from './reader';
import { shapeOf } from './shape';

const { rpc_inference_stream: infer, rpc_session_stream: stream } = HosterService;

type AnyMethod = Method<'unary' | 'server_stream' | 'bidi', never, unknown, never, unknown>;

const read = (method: unknown, bytes: Buffer): unknown => {
  const { info, request } = method as AnyMethod;
  return requestReader(info, request.decode)(bytes);
};

/** One more field at the end of a message: of a number that no version knows. */
const STRANGE = 77;
const strange = Buffer.from([((STRANGE * 8) % 128) | 0x80, STRANGE >> 4, 1]);

/** A message as field `number` of another. */
function inside(number: number, message: Buffer): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 2, message.length]), message]);
}

async function refusal(method: unknown, bytes: Buffer): Promise<CabstandError> {
  try {
    await read(method, bytes);
  } catch (error) {
    return CabstandError.from(error);
  }
  throw new Error('this should have been refused');
}

describe('what a version does not know', () => {
  test.each<[string, unknown, Buffer, string]>([
    ['a field of a turn', infer, strange, 'InferenceStreamRequest'],
    ['a kind of message', stream, strange, 'SessionStreamRequest'],
    ['a kind of update', HosterService.rpc_session_update, strange, 'SessionUpdateRequest'],
    ['a wish of who opens', stream, inside(1, strange), 'Open'],
    ['a wish of who starts a turn', stream, inside(3, inside(2, strange)), 'TurnInput'],
    ['what a tensor may bring', infer, inside(7, strange), 'Tensor'],
    ['a kind of replay', infer, inside(10, inside(2, strange)), 'Replay'],
    ['a condition of who looks for a node', RouterService.rpc_acquire, strange, 'AcquireRequest'],
  ])('%s is not dropped in silence', async (_what, method, bytes, message) => {
    expect(await refusal(method, bytes)).toMatchObject({
      reason: 'UNIMPLEMENTED',
      message: expect.stringContaining('is not known to this version'),
      metadata: { feature: `cabstand.v1.${message} field ${STRANGE}` },
    });
  });

  test('every field of the contract is known, however deep it lies, maps included', async () => {
    const error = {
      reason: 'COMMAND_REJECTED',
      message: 'no',
      metadata: { code: 'a', field: 'b' },
    };
    const record: v1.Record = { position: 3, result: { sequence: 1, error } };
    const request: v1.InferenceStreamRequest = {
      turn: 0,
      ticket: 't',
      resume: { replay: [{ turn: 0, record }] },
    };
    const bytes = infer.request.encode(request);
    const shape = shapeOf('cabstand.v1.InferenceStreamRequest');
    for (const slice of [1, 1_000])
      expect(await decodeInSlices(shape, bytes, slice)).toEqual(infer.request.decode(bytes));
    expect(infer.request.decode(bytes).resume?.replay[0]?.record?.result?.error?.metadata).toEqual(
      error.metadata,
    );
  });

  test('is left out of what nodes tell routers, which may be older than they', () => {
    const node = RouterService.rpc_register.request.encode({ address: 'a:1', node_id: 'n' });
    expect(read(RouterService.rpc_register, Buffer.concat([node, strange]))).toMatchObject({
      node_id: 'n',
    });
  });

  test('ends every kind of call with its name', async () => {
    await using it = await rig({
      rpc_session_status: () => ({}),
      rpc_inference_stream: () => Promise.resolve(),
      rpc_session_stream: async (requests) => {
        for await (const _ of requests);
      },
    });
    const unknown = <T extends { request: object }>(method: T): T => ({
      ...method,
      request: { ...method.request, encode: () => strange },
    });
    const { client } = it;
    const bidi = client.bidi(unknown(HosterService.rpc_session_stream));
    await bidi.send({}).catch(() => undefined);
    for (const call of [
      client.unary(unknown(HosterService.rpc_session_status), {}),
      client.serverStream(unknown(HosterService.rpc_inference_stream), {}).next(),
      bidi.responses.next(),
    ])
      await expect(call).rejects.toMatchObject({
        reason: 'UNIMPLEMENTED',
        class: 'fatal',
        message: expect.stringContaining(`field ${STRANGE}`),
      });
  });
});

describe('what is too much is refused before it is decoded', () => {
  const tensor = (more: v1.Tensor): v1.InferenceStreamRequest => ({ inputs: [more] });
  const text = (length: number): string => 'x'.repeat(length);
  const MIB = 1024 * 1024;

  test.each<[string, v1.InferenceStreamRequest, string, string]>([
    ['a prompt', { prompt: text(15e6) }, 'prompt', '15000000 bytes'],
    ['parameters', { parameters: text(15e6) }, 'parameters', '15000000 bytes'],
    ['a name', tensor({ name: text(4097) }), 'name', '4097 bytes'],
    ['inputs', { inputs: Array<v1.Tensor>(65).fill({}) }, 'inputs', 'more than 64'],
    ['strings', tensor({ strings: Array<string>(16_385).fill('') }), 'strings', 'more than 16384'],
    ['text', tensor({ strings: [text(MIB), text(MIB), 'x'] }), 'strings', 'more than 2097152'],
    [
      'dimensions',
      tensor({ shape: Array<number>(300_001).fill(1) }),
      'message',
      'more than 300000',
    ],
    [
      'replay',
      { resume: { replay: Array<v1.Replay>(10_001).fill({}) } },
      'resume.replay',
      'more than 10000',
    ],
  ])('%s', (_what, request, field, value) => {
    const decode = jest.fn<unknown, [Buffer]>();
    const bytes = infer.request.encode(request);
    const thrown = (() => {
      try {
        return requestReader(infer.info, decode)(bytes);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toMatchObject({ reason: 'LIMIT_EXCEEDED' });
    const { message, metadata } = CabstandError.from(thrown);
    expect(metadata['field']).toBe(field);
    expect(metadata['value']).toContain(value);
    expect(message).toMatch(/expected at most \d+/);
    expect(decode).not.toHaveBeenCalled();
  });

  test('one less of each is not', async () => {
    const request = {
      prompt: text(2 * MIB - 65_536),
      parameters: text(65_536),
      inputs: Array<v1.Tensor>(64).fill({ name: text(4096), data: Buffer.alloc(1e5) }),
    };
    const got = (await read(infer, infer.request.encode(request))) as v1.InferenceStreamRequest;
    expect(got.prompt).toHaveLength(2 * MIB - 65_536);
    expect(got.inputs).toHaveLength(64);
  });

  test('however it is written: the same field again, or between others', async () => {
    const name = infer.request.encode({ model: 'm' });
    const input = infer.request.encode({ inputs: [{}] });
    const mixed = Buffer.concat(Array<Buffer>(65).fill(Buffer.concat([name, input])));
    expect(await refusal(infer, mixed)).toMatchObject({ metadata: { field: 'inputs' } });
    const prompt = infer.request.encode({ prompt: text(MIB) });
    expect(await refusal(infer, Buffer.concat([prompt, prompt, prompt]))).toMatchObject({
      reason: 'LIMIT_EXCEEDED',
      metadata: { field: 'prompt' },
    });
  });
});

const tensors = fc.array(
  fc.record({
    name: fc.string({ maxLength: 5 }),
    dtype: fc.constantFrom('DATA_TYPE_FLOAT32' as const, 'DATA_TYPE_STRING' as const),
    shape: fc.array(fc.nat(), { maxLength: 3 }),
    data: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    strings: fc.array(fc.string({ maxLength: 4 }), { maxLength: 3 }),
  }),
  { maxLength: 4 },
);
const input = fc.record({ prompt: fc.string(), inputs: tensors, parameters: fc.string() });
const epoch = fc.option(fc.record({ counter: fc.nat(), owner: fc.constant(Buffer.alloc(16, 7)) }));
const replay = fc.record(
  {
    turn: fc.nat(),
    input,
    live_input: fc.record({ turn: fc.nat(), part: fc.nat(), inputs: tensors }),
    command: fc.record({ sequence: fc.nat(), name: fc.string() }),
  },
  { requiredKeys: ['turn'] },
);
const resume = fc.record({
  checkpoint: fc.option(fc.record({ position: fc.nat(), sealed: fc.constant(Buffer.alloc(9)) })),
  replay: fc.array(replay, { maxLength: 5 }),
  delivered_position: fc.integer({ min: -1, max: 9 }),
});

test('cutting it into slices changes nothing of what is decoded', async () => {
  const requests = fc.record({
    session_id: fc.string(),
    epoch,
    durable: fc.boolean(),
    turn: fc.nat(),
    prompt: fc.string(),
    inputs: tensors,
    resume: fc.option(resume),
  });
  await fc.assert(
    fc.asyncProperty(requests, fc.nat(40), async (request, slice) => {
      const bytes = infer.request.encode(request);
      const shape = shapeOf('cabstand.v1.InferenceStreamRequest');
      expect(await decodeInSlices(shape, bytes, slice)).toEqual(infer.request.decode(bytes));
    }),
  );
  const messages = fc.oneof(
    fc.record({ open: fc.record({ session_id: fc.string(), epoch, resume: fc.option(resume) }) }),
    fc.record({ turn: fc.record({ turn: fc.nat(), input }) }),
    fc.record({ handover: fc.constant({}) }),
  );
  await fc.assert(
    fc.asyncProperty(messages, fc.nat(20), async (message, slice) => {
      const bytes = stream.request.encode(message);
      const shape = shapeOf('cabstand.v1.SessionStreamRequest');
      expect(await decodeInSlices(shape, bytes, slice)).toEqual(stream.request.decode(bytes));
    }),
  );
});

test('a large resume is decoded like a small one', async () => {
  const part: v1.Replay = { live_input: { inputs: [{ name: 'a', data: Buffer.alloc(8) }] } };
  const bytes = infer.request.encode({ resume: { replay: Array<v1.Replay>(5000).fill(part) } });
  const request = read(infer, bytes);
  expect(request).toBeInstanceOf(Promise);
  expect(await request).toEqual(infer.request.decode(bytes));
});

test('a number beyond 2^53 is refused as it was sent in a large request, too', async () => {
  const large = infer.request.encode({ resume: { replay: Array<v1.Replay>(5000).fill({}) } });
  // Field 9, from_position, as a varint: 2^53 + 1.
  const beyond = Buffer.from([9 * 8, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
  const error = await refusal(infer, Buffer.concat([large, beyond]));
  expect(error).toMatchObject({
    reason: 'POSITION_INVALID',
    metadata: { field: 'from_position', value: '9007199254740993' },
  });
});

test('any bytes are a message, or the caller’s mistake', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (random) => {
      const bytes = Buffer.from(random);
      try {
        expect(await read(infer, bytes)).toEqual(infer.request.decode(bytes));
      } catch (error) {
        expect(CabstandError.is(error) && error.reason).toMatch(/INVALID_ARGUMENT|UNIMPLEMENTED/);
      }
    }),
    { numRuns: 2000 },
  );
});
