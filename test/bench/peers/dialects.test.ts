/** What the load writes and reads by hand is what the contracts say. */
import path from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { HosterService } from '@cabstand/rpc';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { FRAME, readClips } from './clips';
import { speaker } from './dialects';
import { Messages, bytesField, framed } from './wire';

const SOUND = readClips()[0]?.frames[3] as Buffer;

/** The messages within, without gRPC's five bytes. */
function unframed(...parts: readonly Buffer[]): Buffer[] {
  const found: Buffer[] = [];
  new Messages().take(Buffer.concat(parts), (message) => found.push(message));
  return found;
}

describe('messages', () => {
  it('come out whole, however they were cut', () => {
    const all = [Buffer.from('a'), Buffer.alloc(0), Buffer.alloc(300, 7)];
    const bytes = Buffer.concat(all.map((message) => framed(message)));
    for (const size of [1, 2, 5, 6, 7, 100, 1000]) {
      const found: Buffer[] = [];
      const messages = new Messages();
      for (let at = 0; at < bytes.length; at += size)
        messages.take(bytes.subarray(at, at + size), (message) => found.push(Buffer.from(message)));
      expect(found).toEqual(all);
    }
  });
});

describe('Cabstand', () => {
  const { request, response } = HosterService.rpc_session_stream;
  const record = (body: object) => response.encode({ record: body });

  it('opens a session and a live turn', () => {
    const [open, turn] = unframed(...speaker('cabstand').opening()).map((m) => request.decode(m));
    expect(open?.open).toMatchObject({
      ...{ model: 'silero-vad', durable: false, session_id: '', bundles: true },
    });
    expect(turn?.turn).toMatchObject({ turn: 0, live: true });
    const durable = request.decode(unframed(...speaker('cabstand-durable').opening())[0] as Buffer);
    expect(durable.open).toMatchObject({ model: 'silero-vad', durable: true });
    expect(durable.open?.session_id).toMatch(/^[0-9a-f]{32}$/);
    expect(durable.open?.epoch).toMatchObject({ counter: 1 });
    expect(durable.open?.epoch?.owner).toHaveLength(16);
  });

  it('sends parts in order', () => {
    const words = speaker('cabstand');
    for (let part = 0; part < 300; part++) {
      const [message] = unframed(words.input(SOUND));
      const { input } = request.decode(message as Buffer);
      expect(input).toMatchObject({ turn: 0, part, last: false });
      expect(input?.inputs).toEqual([
        expect.objectContaining({ name: 'audio', dtype: 'DATA_TYPE_FLOAT32', shape: [FRAME] }),
      ]);
      expect(input?.inputs[0]?.data.equals(SOUND)).toBe(true);
    }
  });

  it('reads an answer, and nothing from what is none', () => {
    const words = speaker('cabstand-durable');
    const data = Buffer.alloc(4);
    data.writeFloatLE(0.25);
    const output = { name: 'p', dtype: 'DATA_TYPE_FLOAT32' as const, shape: [1, 1], data };
    const chunk = record({ position: 700, turn: 0, epoch: 1, chunk: { outputs: [output] } });
    expect(words.answers(chunk)).toEqual([0.25]);
    expect(words.answers(record({ position: 701, epoch: 1, input: { part: 9 } }))).toEqual([]);
    expect(words.answers(response.encode({ notice: { accepted: { next_part: 3 } } }))).toEqual([]);
    const together = response.encode({
      record: { position: 702, input: { part: 10 } },
      more: [{ record: { position: 703, chunk: { outputs: [output] } } }],
    });
    expect(words.answers(together)).toEqual([0.25]);
    expect(() => words.answers(record({ end_of_turn: { reason: 8 } }))).toThrow('the turn ended');
    expect(() => words.answers(response.encode({ closed: {} }))).toThrow('closed');
  });

  it('acknowledges as often as the session was told', () => {
    const words = speaker('cabstand-durable');
    const told = { opened: { session_id: 's', ack_every: 4, ack_records: 8, ack_bytes: 1000 } };
    words.answers(response.encode({ notice: told }));
    const acks: number[] = [];
    for (let position = 0; position <= 20; position++) {
      words.answers(record({ position, input: { part: position } }));
      const reply = words.reply();
      if (reply !== undefined)
        acks.push(Number(request.decode(unframed(reply)[0] as Buffer).ack?.position));
    }
    expect(acks).toEqual([8, 16]);
    const [close] = unframed(...words.closing());
    expect(request.decode(close as Buffer).close).toBeTruthy();
  });
});

describe('Triton', () => {
  const loaded = loadSync('inference/service.proto', {
    includeDirs: [path.join(REPOSITORY_ROOT, 'third_party')],
    keepCase: true,
    longs: Number,
    oneofs: true,
    defaults: true,
  });
  const service = loaded['inference.GRPCInferenceService'] as ServiceDefinition;
  const infer = (service['ModelInfer'] ?? service['modelInfer']) as MethodDefinition<
    object,
    object
  >;

  it('sends the frames of a stream, the last of them marked', () => {
    const words = speaker('triton');
    const sent = [words.input(SOUND), words.input(SOUND), ...words.closing()].map(
      (message) =>
        infer.requestDeserialize(unframed(message)[0] as Buffer) as {
          readonly raw_input_contents: readonly [Buffer, Buffer];
        },
    );
    for (const request of sent)
      expect(request).toMatchObject({
        model_name: 'silero',
        inputs: [
          { name: 'audio', datatype: 'FP32', shape: [1, FRAME] },
          { name: 'stream', datatype: 'INT64', shape: [1, 2] },
        ],
      });
    expect(sent[0]?.raw_input_contents[0].equals(SOUND)).toBe(true);
    const told = sent.map(({ raw_input_contents: [, stream] }) => [
      stream.readBigInt64LE(0),
      stream.readBigInt64LE(8),
    ]);
    const number = told[0]?.[0];
    expect(told).toEqual([
      [number, 0n],
      [number, 0n],
      [number, 1n],
    ]);
    expect(number).toBeGreaterThan(0n);
  });

  it('reads an answer, and an error', () => {
    const words = speaker('triton');
    const answer = bytesField(6, Buffer.from(new Float32Array([0.25]).buffer));
    const response = Buffer.concat([bytesField(1, 'silero'), answer]);
    expect(words.answers(bytesField(2, response))).toEqual([0.25]);
    expect(() => words.answers(bytesField(1, 'no such model'))).toThrow('no such model');
  });
});
