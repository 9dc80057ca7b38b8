/** Fixtures answer what their golden data says, over all turns of a session, alone and together. */
import { join } from 'node:path';
import { loadManifest, readGolden } from '@cabstand/model';
import type { GoldenSequence } from '@cabstand/model';
import { numbersOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Engine, OWN } from '../engine.fixture';
import { decodeChunk } from '../verify/decode-chunk';

jest.setTimeout(60_000);

const MANY = 1_000_000;

const plain = (
  outputs: readonly Tensor[],
): { name: string; dtype: string; shape: readonly number[] }[] =>
  outputs
    .map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

async function play(
  engine: Engine,
  id: number,
  { turns }: GoldenSequence,
  records = MANY,
): Promise<Tensor[][]> {
  engine.open(id, records);
  for (const [turn, { inputs }] of turns.entries()) {
    engine.turn(id, inputs, { turn });
    const { end } = await engine.ended(id, turn);
    expect(end).toMatchObject({ reason: 'completed', steps: turns[turn]?.records.length });
  }
  return engine.chunks(id).map((chunk) => [...decodeChunk(chunk).outputs]);
}

test.each(['canceller', 'halves', 'wake'])('%s', async (name) => {
  const folder = join(OWN, name);
  const { golden } = await loadManifest(folder, undefined, { digest: false });
  const sequences = await readGolden(golden.file ?? '');
  await using engine = await Engine.start();
  const loaded = await engine.load(folder);
  expect(loaded.type).toBe('LOADED');
  const alone: Tensor[][][] = [];
  for (const [index, sequence] of sequences.entries())
    alone.push(await play(engine, index, sequence));
  // Credit comes for all at once, behind their first turns: so they surely run together.
  const playing = sequences.map((sequence, index) => play(engine, 100 + index, sequence, 0));
  engine.send({
    type: 'CREDITS',
    credits: sequences.map((_, index) => ({ sequence: 100 + index, records: MANY, bytes: 0 })),
  });
  const together = await Promise.all(playing);
  for (const played of [alone, together])
    sequences.forEach(({ turns }, index) => {
      const expected = turns.flatMap(({ records }) => records);
      expect(played[index]).toHaveLength(expected.length);
      expected.forEach(({ outputs }, record) => {
        const got = played[index]?.[record] ?? [];
        expect(plain(got)).toEqual(plain(outputs));
        for (const tensor of outputs) {
          const own = got.find((one) => one.name === tensor.name) as Tensor;
          const [a, b] = [[...numbersOf(own)].map(Number), [...numbersOf(tensor)].map(Number)];
          const worst = Math.max(...a.map((value, at) => Math.abs(value - (b[at] ?? NaN))));
          expect(worst).toBeLessThanOrEqual(golden.atol);
        }
      });
    });
  expect(Math.max(...engine.batches)).toBe(2);
});
