import { codecs } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { encodedChunk } from './chunk-bytes';
import type { ChunkRecord } from './chunk-bytes';
import { wireRecord } from './wire';

/** As the client library gives it. */
function record(more: Partial<ChunkRecord>): ChunkRecord {
  const { tensors = [], text = '' } = more;
  const wire = codecs.Chunk.encode({ outputs: tensors.map((one) => toWire(one)), text });
  const base = { type: 'record', body: 'chunk', position: 0, turn: 0, epoch: 7 } as const;
  return { ...base, tensors, text, wire, ...more };
}

const value = tensorOf('probability', new Float32Array([0.25]));
const large = tensorOf('größe', new Float64Array(3000).fill(1.5), [3, 10, 100]);
const none = tensorOf('none', new Float32Array(0), [0, 4]);

test.each<[string, Partial<ChunkRecord>, number]>([
  ['nothing', {}, 0],
  ['a value', { position: 127, tensors: [value] }, 0],
  ['many tensors', { position: 300, tensors: [value, large, none] }, 200],
  ['text', { position: 2 ** 40, turn: 2 ** 33, text: 'Straße 🚕', tensors: [value] }, 2 ** 35],
  ['a module', { position: 5, point: 300, key: true, chain: 17, text: 'x' }, 3],
])('%s as the contract reads it', (_what, more, epoch) => {
  const written = encodedChunk(record(more), epoch)?.bytes ?? Buffer.alloc(0);
  const response = { record: wireRecord(record(more), epoch) };
  for (const { encode, decode } of [codecs.InferenceStreamResponse, codecs.SessionStreamResponse])
    expect(decode(written)).toEqual(decode(encode(response)));
});

test('a chunk that did not come as bytes is left to the contract', () => {
  const { wire: _wire, ...given } = record({ tensors: [value] });
  expect(encodedChunk(given, 0)).toBeUndefined();
});
