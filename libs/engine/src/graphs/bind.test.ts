import { join } from 'node:path';
import { loadManifest } from '@cabstand/model';
import { BUNDLED } from '../engine.fixture';
import { bindManifest, describeOutputs } from './bind';
import type { GraphMetadata } from './bound';

describe('against the ONNX file', () => {
  const metadata = (
    change: (graph: {
      inputs: { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[];
      outputs: { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[];
    }) => void,
  ): GraphMetadata[] => {
    const graph = {
      inputs: [
        { name: 'input', isTensor: true, type: 'float32', shape: ['', ''] },
        { name: 'state', isTensor: true, type: 'float32', shape: [2, '', 128] },
        { name: 'sr', isTensor: true, type: 'int64', shape: [] },
      ] as { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[],
      outputs: [
        { name: 'output', isTensor: true, type: 'float32', shape: ['', 1] },
        { name: 'stateN', isTensor: true, type: 'float32', shape: ['', '', ''] },
      ] as { name: string; isTensor: boolean; type: string; shape: (string | number)[] }[],
    };
    change(graph);
    return [graph];
  };

  test('what fits is bound, with the size of its state', async () => {
    const manifest = await loadManifest(join(BUNDLED, 'silero-vad'));
    const bound = bindManifest(
      manifest,
      metadata(() => undefined),
    );
    expect(bound).toMatchObject({ batchable: true, stateBytes: 1024 });
    expect(describeOutputs(bound)).toEqual([
      { name: 'speech_probability', dtype: 'float32', shape: [1, 1] },
    ]);
  });

  test.each<[string, Parameters<typeof metadata>[0], string]>([
    [
      'a batch axis that is fixed',
      ({ inputs }) => inputs[0]?.shape.splice(0, 1, 4),
      'a free dimension',
    ],
    [
      'a batch axis beyond the rank',
      ({ inputs }) => inputs[1]?.shape.splice(0, 2),
      'less than the rank',
    ],
    [
      'another dtype',
      ({ inputs }) => {
        (inputs[0] as { type: string }).type = 'int64';
      },
      'inputs.audio.dtype: got "float32", expected int64, which graph input input takes',
    ],
    ['another rank', ({ inputs }) => inputs[0]?.shape.push(3), 'rank 2'],
    [
      'an input without a source',
      ({ inputs }) => inputs.push({ name: 'mask', isTensor: true, type: 'bool', shape: [] }),
      'a source for mask',
    ],
    ['an input that is not there', ({ inputs }) => inputs.splice(2, 1), 'one of input, state'],
    [
      'a map as output',
      ({ outputs }) => {
        (outputs[0] as { isTensor: boolean }).isTensor = false;
      },
      'ZipMap',
    ],
    [
      'bfloat16',
      ({ outputs }) => {
        (outputs[0] as { type: string }).type = 'bfloat16';
      },
      'one of float32',
    ],
    [
      'a frame of another length',
      ({ inputs }) => inputs[0]?.shape.splice(1, 1, 512),
      'framing.carry + framing.frame, 576',
    ],
    ['a state of another shape', ({ outputs }) => outputs[1]?.shape.splice(2, 1, 64), 'stateN'],
  ])('%s is refused', async (_, change, message) => {
    const manifest = await loadManifest(join(BUNDLED, 'silero-vad'));
    expect(() => bindManifest(manifest, metadata(change))).toThrow(message);
  });
});
