/** Loads the engine's model: manifest, ONNX sessions, what binds them, and how it may be batched. */
import type { InferenceSession } from 'onnxruntime-node';
import { loadManifest, readGolden } from '@cabstand/model';
import type { BatchClass, Manifest } from '@cabstand/model';
import type { LoadFrame, LoadedFrame } from './frames/types';
import { bindManifest, describeOutputs } from './graphs/bind';
import { describeRuntime } from './graphs/onnx-runtime';
import { findRowAxes } from './graphs/row-axes';
import { createSession } from './graphs/session';
import { createStepper } from './kinds/create';
import type { Stepper } from './runtime/sequence';
import { verifyModel } from './verify/verify';

export interface LoadedModel {
  readonly stepper: Stepper;
  readonly stateBytes: number;
  readonly loaded: LoadedFrame;
}

/**
 * Loads and, where asked to, verifies the model.
 *
 * @throws CabstandError MANIFEST_INVALID, MODEL_FAILED or VERIFICATION_FAILED.
 */
export async function loadModel(
  frame: LoadFrame,
  progress: (stage: string) => void,
): Promise<LoadedModel> {
  const begun = performance.now();
  progress('loading');
  const { folder, version, variant, digest: known } = frame;
  const read = await loadManifest(folder, version, { digest: known === undefined, variant });
  const manifest: Manifest = { ...read, digest: known ?? read.digest };
  const sessions: InferenceSession[] = [];
  for (const { file } of manifest.graphs) sessions.push(await createSession(file, frame));
  const bound = bindManifest(
    manifest,
    sessions.map(({ inputMetadata, outputMetadata }) => ({
      inputs: inputMetadata,
      outputs: outputMetadata,
    })),
  );
  const turns = manifest.golden.file === undefined ? [] : await readGolden(manifest.golden.file);
  const model = await findRowAxes(
    bound,
    sessions,
    turns.flatMap((sequence) => sequence.turns),
  );
  const loadSeconds = (performance.now() - begun) / 1000;
  const most = Math.min(manifest.batching.maxBatch, frame.maxBatch);
  const verified = frame.verify
    ? await verifyModel(model, sessions, most, progress)
    : {
        batchClass: frame.known?.batchClass ?? 'unbatched',
        maxBatch: most,
        goldenError: 0,
        seconds: 0,
      };
  const batchClass = lower(verified.batchClass, manifest.batching.class);
  const maxBatch = batchClass === 'unbatched' ? 1 : verified.maxBatch;
  const stepper = createStepper(model, sessions, maxBatch);
  return {
    stepper: stepper as unknown as Stepper,
    stateBytes: model.stateBytes,
    loaded: {
      type: 'LOADED',
      provider: frame.provider,
      batchClass,
      maxBatch,
      runtime: describeRuntime(),
      goldenError: verified.goldenError,
      stateBytesPerSequence: model.stateBytes,
      loadSeconds,
      verifySeconds: verified.seconds,
      outputs: describeOutputs(model),
    },
  };
}

const ORDER: readonly BatchClass[] = ['unbatched', 'tolerance', 'exact'];

/** A manifest may only lower the class. */
function lower(measured: BatchClass, declared: BatchClass | undefined): BatchClass {
  if (declared === undefined) return measured;
  return ORDER.indexOf(declared) < ORDER.indexOf(measured) ? declared : measured;
}
