/** Loads what an engine process serves: the manifest's kind says what with. */
import { CabstandError } from '@cabstand/core';
import type { Manifest } from '@cabstand/model';
import type { LanguageFigures } from './frames/language-frames';
import type { LoadFrame, LoadedFrame } from './frames/types';
import { loadEncoderDecoder } from './kinds/encoder-decoder/load';
import type { EncoderDecoderStepper } from './kinds/encoder-decoder/stepper';
import { loadLanguageModel } from './kinds/language-model/load';
import type { LanguageModelStepper } from './kinds/language-model/stepper';
import { ModuleRuntime } from './kinds/module/module-runtime';
import { moduleOptions } from './kinds/module/options';
import { loadTextModel } from './kinds/text-model/load';
import { readManifest } from './load';
import type { Runtime, RuntimeHost } from './runtime/runtime';
import type { Stepper } from './runtime/sequence';
import { StepRuntime } from './runtime/step-runtime';

/**
 * @param signal the load is given up: what runs in a thread of its own ends first
 * @throws CabstandError MANIFEST_INVALID, MODEL_FAILED, MODULE_FAILED or VERIFICATION_FAILED.
 */
export async function loadRuntime(
  frame: LoadFrame,
  host: RuntimeHost,
  signal: AbortSignal,
): Promise<Runtime> {
  host.send({ type: 'PROGRESS', stage: 'loading' });
  const manifest = await readManifest(frame);
  signal.throwIfAborted();
  const { module } = manifest;
  if (module !== undefined)
    return await ModuleRuntime.load(moduleOptions(frame, manifest, module), host, signal);
  const progress = (stage: string): void => host.send({ type: 'PROGRESS', stage });
  const exported = loadExported(frame, manifest, progress);
  const loading =
    exported === undefined
      ? StepRuntime.load(frame, manifest, host)
      : exported.then((served) => new StepRuntime(served, host, frame.maxSequences));
  return await Promise.race([loading, given(signal)]);
}

interface Exported {
  readonly loaded: LoadedFrame;
  readonly stepper: Stepper;
  readonly stateBytes: () => number;
  /** What a language model tells of its work. */
  readonly language?: () => LanguageFigures;
}

/** Models as exporters of transformers write them; undefined for those of graphs and a manifest. */
function loadExported(
  frame: LoadFrame,
  manifest: Manifest,
  progress: (stage: string) => void,
): Promise<Exported> | undefined {
  const { languageModel, encoderDecoder, textModel } = manifest;
  if (languageModel !== undefined)
    return loadLanguageModel(frame, manifest, languageModel, progress).then((served) => ({
      ...withState(served),
      language: () => served.stepper.takeFigures(),
    }));
  if (encoderDecoder !== undefined)
    return loadEncoderDecoder(frame, manifest, encoderDecoder, progress).then(withState);
  if (textModel === undefined) return undefined;
  return loadTextModel(frame, manifest, textModel, progress).then(({ loaded, stepper }) => ({
    ...{ loaded, stepper: stepper as unknown as Stepper, stateBytes: () => 0 },
  }));
}

function withState({
  loaded,
  stepper,
}: {
  readonly loaded: LoadedFrame;
  readonly stepper: LanguageModelStepper | EncoderDecoderStepper;
}): Exported {
  const steps = stepper as unknown as Stepper;
  return { loaded, stepper: steps, stateBytes: () => stepper.stateBytes };
}

function given(up: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    up.addEventListener('abort', () => reject(CabstandError.from(up.reason)), { once: true });
  });
}
