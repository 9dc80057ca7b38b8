/** What an engine can do ahead of its model while it waits for one: some 50 ms of each first load. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { parseManifest } from '@cabstand/model';
import { IDENTITY } from './graphs/identity';

const MANIFEST = `
name: warm
kind: stateful
description: Nothing.
provenance: { source: none, version: '1', digest: none, licence: none, script: none }
graphs:
  step:
    file: none.onnx
    run: per-step
    inputs: { x: { from: frame, batch_axis: 0 } }
    outputs: { y: { emit: y, batch_axis: 0 } }
inputs: { x: { dtype: float32, shape: [samples] } }
framing: { input: x, frame: 1 }
golden: { file: golden.json }
`;

/** Makes the schema of manifests and the kernels of ONNX Runtime, which are made at their first use. */
export async function warmUp(): Promise<void> {
  parseManifest(MANIFEST, 'model.yaml');
  const session = await InferenceSession.create(IDENTITY, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  await session.run({ x: new Tensor('float32', Float32Array.of(1), [1]) });
  await session.release();
}
