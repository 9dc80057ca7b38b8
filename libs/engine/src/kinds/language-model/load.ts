/** Loads a language model: its graph, its tokenizer, and a trial of both. */
import { CabstandError } from '@cabstand/core';
import type { LanguageModelProgram, Manifest } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { KnownModel, LoadFrame, LoadedFrame } from '../../frames/types';
import { describeRuntime } from '../../graphs/onnx-runtime';
import { checkSnapshotFits } from '../../snapshot/limit';
import { bucketOf, bucketWithin, bytesPerToken } from './cache/columns';
import { templateNotes } from './chat/renderer';
import { CHOICE_OUTPUTS } from './choice/record';
import type { Decoder } from './decoder';
import { openDecoder } from './open';
import { LanguageModelStepper } from './stepper';
import { TextCodec } from './tokenizer';
import { NOTABLE, tryDecoder } from './trial';
import type { TrialResult } from './trial';

/** Of all caches. */
const DEFAULT_STATE_BYTES = 1024 ** 3;
export interface LoadedLanguageModel {
  readonly stepper: LanguageModelStepper;
  readonly loaded: LoadedFrame;
}

/** @throws CabstandError MODEL_FAILED or VERIFICATION_FAILED. */
export async function loadLanguageModel(
  frame: LoadFrame,
  manifest: Manifest,
  whole: LanguageModelProgram,
  progress: (stage: string) => void,
): Promise<LoadedLanguageModel> {
  const begun = performance.now();
  const { maxMessageBytes = DEFAULT_MESSAGE_BYTES, known, provider } = frame;
  const { maxStateBytes: maxBytes = DEFAULT_STATE_BYTES } = frame;
  const { program, notes } = withinMemory(whole, maxBytes);
  const [graph] = manifest.graphs;
  const decoder = await openDecoder(graph?.file ?? '', program, frame);
  const { tokenizer, cache } = program;
  const codec = tokenizer && (await TextCodec.load(tokenizer));
  const loadSeconds = (performance.now() - begun) / 1000;
  if (frame.verify) progress('verifying');
  const tried = frame.verify ? await tryDecoder(decoder) : asKnown(decoder, known);
  const verifySeconds = (performance.now() - begun) / 1000 - loadSeconds;
  const most = Math.min(manifest.batching.maxBatch, frame.maxBatch);
  const stepper = new LanguageModelStepper(manifest, decoder, codec, {
    ...{ maxBatch: most, maxBytes, messageBytes: maxMessageBytes },
    replays:
      program.rounding !== 'fine' || tried.error > NOTABLE || (!frame.verify && !wasTried(known)),
  });
  checkSnapshotFits(0, stepper.snapshotBytes, maxMessageBytes);
  const batched = tried.moved === 0 ? 'exact' : 'tolerance';
  return {
    stepper,
    loaded: {
      type: 'LOADED',
      provider,
      batchClass: decoder.ragged ? batched : 'unbatched',
      maxBatch: stepper.maxBatch,
      runtime: describeRuntime(decoder.calledBy),
      goldenError: tried.error,
      reference: 'self',
      unbatchedBecause: tried.aloneBecause,
      notes: [...notes, ...tried.notes, ...templateNotes(program.chat)],
      // Less is never held by a turn; how much more each needs, the engine itself sees to.
      stateBytesPerSequence: bytesPerToken(cache) * bucketOf(1),
      snapshotBytes: stepper.snapshotBytes,
      loadSeconds,
      verifySeconds,
      outputs: CHOICE_OUTPUTS,
    },
  };
}

/**
 * A model whose longest texts do not fit into the memory has a shorter context.
 *
 * @throws CabstandError MODEL_FAILED where there is no memory for any text.
 */
function withinMemory(
  program: LanguageModelProgram,
  maxBytes: number,
): { readonly program: LanguageModelProgram; readonly notes: readonly string[] } {
  const { cache, contextLength } = program;
  const perToken = bytesPerToken(cache);
  if (bucketOf(contextLength) * perToken <= maxBytes) return { program, notes: [] };
  const fits = bucketWithin(Math.floor(maxBytes / perToken));
  if (fits === 0)
    throw new CabstandError(
      'MODEL_FAILED',
      `the cache of ${bucketOf(1)} tokens is ${bucketOf(1) * perToken} bytes, limits.max_state_bytes allows ${maxBytes}`,
    );
  const note = `limits.max_state_bytes of ${maxBytes} bytes holds ${fits} tokens of a context of ${contextLength}: texts are no longer`;
  return { program: { ...program, contextLength: fits }, notes: [note] };
}

/** Whether somebody knows how far scores depend on what is computed at once. */
const wasTried = (known: KnownModel | undefined): boolean =>
  known !== undefined && known.reference !== 'none';

/** As an earlier load found it. */
function asKnown(decoder: Decoder, known: KnownModel | undefined): TrialResult {
  const {
    batchClass = 'unbatched',
    goldenError = 0,
    unbatchedBecause = '',
    notes = [],
  } = known ?? {};
  if (batchClass === 'unbatched') decoder.ragged = false;
  const moved = batchClass === 'exact' ? 0 : Number.EPSILON;
  return { error: goldenError, moved, aloneBecause: unbatchedBecause, notes };
}
