/** Loads a model that takes texts: its graph, its tokenizer, and a trial of both. */
import type { BatchClass, Manifest, TextModelProgram } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { LoadFrame, LoadedFrame } from '../../frames/types';
import { describeRuntime } from '../../graphs/onnx-runtime';
import { createSession } from '../../graphs/session';
import { TextCodec } from '../language-model/tokenizer';
import { TextStepper } from './stepper';
import { TextGraph } from './text-graph';
import { TextReader } from './text-reader';
import { tryTexts } from './trial';
import type { TextTrial } from './trial';

/** @throws CabstandError MODEL_FAILED or VERIFICATION_FAILED. */
export async function loadTextModel(
  frame: LoadFrame,
  manifest: Manifest,
  program: TextModelProgram,
  progress: (stage: string) => void,
): Promise<{ readonly stepper: TextStepper; readonly loaded: LoadedFrame }> {
  const begun = performance.now();
  const { maxMessageBytes = DEFAULT_MESSAGE_BYTES, known, provider } = frame;
  const [file] = manifest.graphs;
  const graph = new TextGraph(await createSession(file?.file ?? '', frame), program);
  const codec = await TextCodec.load(program.tokenizer);
  const loadSeconds = (performance.now() - begun) / 1000;
  if (frame.verify) progress('verifying');
  const { head } = program;
  const width = (head.to === 'scores' ? head.count : head.size) ?? -1;
  const tried: TextTrial = frame.verify
    ? await tryTexts(graph, codec.size)
    : {
        ...{ batchClass: known?.batchClass ?? 'unbatched', error: known?.goldenError ?? 0, width },
        unbatchedBecause: known?.unbatchedBecause ?? 'it was not verified',
      };
  const verifySeconds = (performance.now() - begun) / 1000 - loadSeconds;
  const batchClass: BatchClass = tried.batchClass;
  const most = Math.min(manifest.batching.maxBatch, frame.maxBatch);
  const maxBatch = batchClass === 'unbatched' ? 1 : most;
  const reader = new TextReader(codec, program.tokenizer);
  const stepper = new TextStepper(manifest, graph, reader, maxBatch, maxMessageBytes);
  return {
    stepper,
    loaded: {
      type: 'LOADED',
      provider,
      batchClass,
      maxBatch,
      runtime: describeRuntime(graph.calledBy),
      goldenError: tried.error,
      reference: 'self',
      unbatchedBecause: tried.unbatchedBecause,
      notes: [],
      stateBytesPerSequence: 0,
      snapshotBytes: stepper.snapshotBytes,
      loadSeconds,
      verifySeconds,
      outputs: [
        { name: manifest.outputs[0]?.name ?? '', dtype: 'float32', shape: [-1, tried.width] },
      ],
    },
  };
}
