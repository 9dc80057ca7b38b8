/** What the trial of a graph without a tail says: its caches are fetched whole, by the names of the model. */
import { madeGraph } from './stepper.fixture';
import { tryDecoder } from './trial';

test('a graph whose caches are fetched whole is found to run texts together', async () => {
  const { decoder, rows } = madeGraph();
  expect(await tryDecoder(decoder)).toMatchObject({ error: 0, moved: 0, aloneBecause: '' });
  expect(decoder.ragged).toBe(true);
  expect(rows).toContain(2);
});

test('a graph whose texts see those beside them runs each alone', async () => {
  const { decoder } = madeGraph((_row, rows) => (rows > 1 ? 0.01 : 0));
  const { moved, aloneBecause } = await tryDecoder(decoder);
  expect(moved).toBeGreaterThan(1e-3);
  expect(aloneBecause).toContain('scores of a text beside another one differ from those alone');
  expect(decoder.ragged).toBe(false);
});
