import fc from 'fast-check';
import { codecs, generationFromWire } from '@cabstand/rpc';
import { encodeChunk, encodeEndOfTurn, encodeInput } from './encode';

const header = fc.record({
  position: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  turn: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  epoch: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
});
const edges = [0, 1, 127, 128, 16383, 16384, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER];

describe('records written by hand', () => {
  it('decode to the chunk that the engine wrote, whatever its size', () => {
    fc.assert(
      fc.property(
        header,
        fc.uint8Array({ maxLength: 40_000 }),
        fc.string({ unit: 'grapheme' }),
        (head, data, text) => {
          const chunk = {
            outputs: [
              { name: 'o', dtype: 'DATA_TYPE_UINT8', shape: [1, data.length], data, strings: [] },
            ],
            text,
          } as const;
          const bytes = encodeChunk(head, codecs.Chunk.encode(chunk as never));
          for (const codec of [codecs.InferenceStreamResponse, codecs.SessionStreamResponse]) {
            const { event, record } = codec.decode(bytes);
            expect(event).toBe('record');
            expect(record).toMatchObject({ ...head, body: 'chunk' });
            expect(record?.chunk?.text).toBe(text);
            expect(Buffer.compare(record?.chunk?.outputs[0]?.data as Buffer, data)).toBe(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keep positions at every length of a varint', () => {
    for (const position of edges) {
      const head = { position, turn: position, epoch: position };
      const { record } = codecs.InferenceStreamResponse.decode(encodeChunk(head, Buffer.alloc(0)));
      expect(record).toMatchObject(head);
    }
  });

  it('equal byte for byte what the contract writes', () => {
    const head = { position: 300, turn: 2, epoch: 7 };
    const chunk = { outputs: [], text: 'hello' };
    expect(encodeChunk(head, codecs.Chunk.encode(chunk))).toEqual(
      codecs.InferenceStreamResponse.encode({ record: { ...head, chunk } }),
    );
    expect(encodeInput(head, 5)).toEqual(
      codecs.InferenceStreamResponse.encode({ record: { ...head, input: { part: 5 } } }),
    );
  });

  it('carry the end of a turn with its error', () => {
    fc.assert(
      fc.property(
        header,
        fc.nat(),
        fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
        (head, steps, metadata) => {
          delete metadata['__proto__'];
          const end = {
            reason: 'error' as const,
            steps,
            error: { reason: 'INPUT_NOT_FINITE' as const, message: 'NaN at 3', metadata },
          };
          const { record } = codecs.SessionStreamResponse.decode(encodeEndOfTurn(head, end));
          expect(record?.end_of_turn).toMatchObject({ reason: 'END_REASON_ERROR', steps });
          expect(record?.end_of_turn?.error).toMatchObject(end.error);
        },
      ),
    );
    const plain = encodeEndOfTurn(
      { position: 0, turn: 0, epoch: 0 },
      { reason: 'completed', steps: 0 },
    );
    expect(codecs.SessionStreamResponse.decode(plain).record?.end_of_turn).toMatchObject({
      reason: 'END_REASON_COMPLETED',
      error: null,
      checkpoint: null,
      note: '',
    });
    const noted = encodeEndOfTurn(
      { position: 0, turn: 0, epoch: 0 },
      { reason: 'completed', steps: 0, note: 'too short' },
    );
    expect(codecs.SessionStreamResponse.decode(noted).record?.end_of_turn?.note).toBe('too short');
    const answered = encodeEndOfTurn(
      { position: 0, turn: 0, epoch: 0 },
      {
        ...{ reason: 'completed', steps: 300 },
        generation: { finish: 'length', prompt: 200, cached: 128, answer: 300 },
      },
    );
    const { generation } = codecs.SessionStreamResponse.decode(answered).record?.end_of_turn ?? {};
    expect(generation).toEqual({
      ...{ finish: 'FINISH_REASON_LENGTH', prompt_tokens: 200, cached_tokens: 128 },
      answer_tokens: 300,
    });
    if (!generation) throw new Error('none came');
    expect(generationFromWire(generation)).toEqual({
      ...{ finish: 'length', prompt: 200, cached: 128, answer: 300 },
    });
    expect(generationFromWire({ ...generation, finish: 'FINISH_REASON_UNSPECIFIED' })).toEqual({
      ...{ prompt: 200, cached: 128, answer: 300 },
    });
  });
});
