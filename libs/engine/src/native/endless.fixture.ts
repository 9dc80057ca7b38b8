/** A graph that runs as long as it is asked to: `y` is `x` after so many rounds. */
import { onnxModel } from '@cabstand/testing';

/** Rounds that take years. */
export const ENDLESS = 2n ** 50n;

const DIMS = [8, 8];

/** Inputs `rounds` (int64 [1]) and `x` (float32 [8, 8]), output `y`. */
export const ROUNDS = onnxModel({
  inputs: [
    { name: 'rounds', dtype: 'int64', dims: [1] },
    { name: 'x', dtype: 'float32', dims: DIMS },
  ],
  outputs: [{ name: 'y', dtype: 'float32', dims: DIMS }],
  initializers: [{ name: 'always', dtype: 'bool', shape: [], values: [true] }],
  nodes: [
    {
      op: 'Loop',
      inputs: ['rounds', 'always', 'x'],
      outputs: ['y'],
      attributes: {
        body: {
          graph: {
            inputs: [
              { name: 'round', dtype: 'int64', dims: [] },
              { name: 'goes on', dtype: 'bool', dims: [] },
              { name: 'before', dtype: 'float32', dims: DIMS },
            ],
            outputs: [
              { name: 'stays', dtype: 'bool', dims: [] },
              { name: 'after', dtype: 'float32', dims: DIMS },
            ],
            nodes: [
              { op: 'Identity', inputs: ['goes on'], outputs: ['stays'] },
              { op: 'MatMul', inputs: ['before', 'before'], outputs: ['after'] },
            ],
          },
        },
      },
    },
  ],
});
