/** Loads a language model with an encoder: its graphs, its tokenizer, and a trial of them. */
import type { EncoderDecoderProgram, Manifest } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { LoadFrame, LoadedFrame } from '../../frames/types';
import { describeRuntime } from '../../graphs/onnx-runtime';
import { createSession } from '../../graphs/session';
import { checkSnapshotFits } from '../../snapshot/limit';
import { TextCodec } from '../language-model/tokenizer';
import { CHOICE_OUTPUTS } from '../language-model/choice/record';
import { tryParts } from '../language-model/trial';
import { TextReader } from '../text-model/text-reader';
import { EncoderDecoder } from './encoder-decoder';
import type { Decoding, EncoderInput, Sessions } from './encoder-decoder';
import { EncoderDecoderStepper } from './stepper';
import type { FeaturesOf, Texts } from './stepper';

/** @throws CabstandError MODEL_FAILED or VERIFICATION_FAILED. */
export async function loadEncoderDecoder(
  frame: LoadFrame,
  manifest: Manifest,
  program: EncoderDecoderProgram,
  progress: (stage: string) => void,
): Promise<{ readonly stepper: EncoderDecoderStepper; readonly loaded: LoadedFrame }> {
  const begun = performance.now();
  const { maxMessageBytes = DEFAULT_MESSAGE_BYTES, known, provider } = frame;
  const model = new EncoderDecoder(await sessionsOf(program, frame), program);
  const stepper = new EncoderDecoderStepper(
    manifest,
    model,
    await textsOf(program),
    await featuresOf(program),
    maxMessageBytes,
  );
  checkSnapshotFits(0, stepper.snapshotBytes, maxMessageBytes);
  const loadSeconds = (performance.now() - begun) / 1000;
  if (frame.verify) progress('verifying');
  const tried = frame.verify
    ? await tryModel(model)
    : { error: known?.goldenError ?? 0, notes: known?.notes ?? [] };
  const verifySeconds = (performance.now() - begun) / 1000 - loadSeconds;
  return {
    stepper,
    loaded: {
      type: 'LOADED',
      provider,
      batchClass: 'unbatched',
      maxBatch: 1,
      runtime: describeRuntime(model.calledBy),
      goldenError: tried.error,
      reference: 'self',
      unbatchedBecause: 'answers differ in length: sessions run one after another, a token each',
      notes: tried.notes,
      stateBytesPerSequence: model.largest,
      snapshotBytes: stepper.snapshotBytes,
      loadSeconds,
      verifySeconds,
      outputs: CHOICE_OUTPUTS,
    },
  };
}

async function sessionsOf(
  { encoder, decoder }: EncoderDecoderProgram,
  frame: LoadFrame,
): Promise<Sessions> {
  const first = await createSession(decoder.how === 'merged' ? decoder.file : decoder.first, frame);
  return {
    encoder: await createSession(encoder.file, frame),
    first,
    next: decoder.how === 'merged' ? first : await createSession(decoder.next, frame),
  };
}

async function textsOf({ target }: EncoderDecoderProgram): Promise<Texts | undefined> {
  if (target.tokenizer === undefined) return undefined;
  const codec = await TextCodec.load(target.tokenizer);
  return { codec, reader: new TextReader(codec, target.tokenizer) };
}

/** Loaded only where there is audio: what else the package does needs a module of its own. */
async function featuresOf({ encoder: { source } }: EncoderDecoderProgram): Promise<FeaturesOf> {
  if (source.kind !== 'features') return (samples) => samples;
  const { logMel } = await import('@cabstand/media');
  const { bins } = source;
  return (samples, audio) => logMel(samples, { ...audio, bins });
}

/** An answer computed in parts must be what it is at once, whatever was encoded. */
async function tryModel(model: EncoderDecoder): ReturnType<typeof tryParts> {
  const { encoder, target } = model.program;
  const { source } = encoder;
  const input: EncoderInput =
    source.kind === 'tokens'
      ? Array.from(
          { length: Math.min(9, source.maxTokens) },
          (_, at) => (at * 7919 + 3) % source.vocabularySize,
        )
      : Float32Array.from({ length: source.bins * source.frames }, (_, at) => Math.sin(at / 7));
  return await tryParts<Decoding>({
    program: target,
    cache: () => model.encode(input),
    run: (decoding, _from, ids) => model.run(decoding, ids),
  });
}
