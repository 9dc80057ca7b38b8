import type { Manifest, StateSpec } from '@cabstand/model';
import { bindStates } from './bind-states';
import type { BoundGraph, BoundTensor } from './bound';

type Dims = readonly (number | undefined)[];

/** A graph that reads one state of shape `read` and writes it in shape `written`. */
function bound(read: Dims, written: Dims, state: Partial<StateSpec>): unknown {
  const tensor = (name: string, dims: Dims): BoundTensor => ({
    name,
    dtype: 'float32',
    dims,
    batchAxis: 0,
  });
  const graph = {
    inputs: [{ ...tensor('before', read), source: { from: 'state', state: 's' } }],
    outputs: [{ ...tensor('after', written), sinks: [{ to: 'state', state: 's' }] }],
  } as unknown as BoundGraph;
  const spec = { name: 's', initial: 0, scope: 'session', shape: undefined, window: undefined };
  const manifest = { file: 'model.yaml', state: [{ ...spec, ...state }], limits: {} };
  return bindStates(manifest as unknown as Manifest, [graph]);
}

const window = { axis: 1 };

test('what is written to a window may be of any length along its axis', () => {
  const expected = [{ shape: [1, 76, 32], bytes: 76 * 32 * 4 }];
  expect(bound([undefined, 76, 32], [undefined, 8, 32], { window })).toMatchObject(expected);
  expect(bound([undefined, 76, 32], [undefined, 99, 32], { window })).toMatchObject(expected);
  const shape = [1, 76, 32];
  const free = [undefined, undefined, undefined];
  expect(bound(free, [undefined, 8, 32], { window, shape })).toMatchObject(expected);
  expect(bound(free, free, { window, shape })).toMatchObject(expected);
});

test.each<[string, Dims, Dims, Partial<StateSpec>, string]>([
  [
    'of another width',
    [undefined, 76, 32],
    [undefined, 8, 31],
    { window },
    'after has: [?, 8, 31]',
  ],
  ['of another rank', [undefined, 76, 32], [undefined, 32], { window }, 'after has: [?, 32]'],
  [
    'read at another length',
    [undefined, 75, 32],
    [undefined, 8, 32],
    { window, shape: [1, 76, 32] },
    'before has: [?, 75, 32]',
  ],
  [
    'of a length that nobody says',
    [undefined, undefined, 32],
    [undefined, 8, 32],
    { window },
    'dimension 1 is free',
  ],
  [
    'along the rows',
    [undefined, 76, 32],
    [undefined, 76, 32],
    { window: { axis: 0 } },
    'not the batch axis',
  ],
  [
    'along an axis that is not there',
    [undefined, 76],
    [undefined, 76],
    { window: { axis: 2 } },
    'less than the rank, 2',
  ],
  [
    'of another length, without a window',
    [undefined, 76, 32],
    [undefined, 8, 32],
    {},
    'after has: [?, 8, 32]',
  ],
])('a state %s is refused', (_, read, written, state, message) => {
  expect(() => bound(read, written, state)).toThrow(message);
});
