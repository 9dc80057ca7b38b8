/** What sessions of a test are given: examples of what the manifest declares, two kinds of them. */
import { exampleTurns, resolveParameters } from '@cabstand/model';
import type { Manifest, ParameterSpec } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { Given } from './trial';

/** Parts of live input; the last one ends it. */
const PARTS = 24;
const PART_SECONDS = 0.05;

/**
 * @param which the first has all parameters at their defaults; others have them beside these, and another
 *   prompt, seed and input
 */
export function givenFor(manifest: Manifest, which: number): Given {
  const sizes = audioSizes(manifest);
  const inputs = (seed: number): readonly Tensor[] =>
    exampleTurns(manifest, { count: 1, seed, sizes })[0]?.inputs ?? [];
  const live = manifest.takesLiveInput;
  const prompts = ['deep blue waves', 'red fire'];
  return {
    prompt: manifest.takesPrompt ? (prompts[which % prompts.length] ?? '') : '',
    parameters: resolveParameters(
      manifest.parameters,
      which === 0
        ? {}
        : Object.fromEntries(
            manifest.parameters.flatMap((spec) => {
              const value = beside(spec);
              return value === undefined ? [] : [[spec.name, value]];
            }),
          ),
    ),
    inputs: live ? [] : inputs(which),
    parts: live
      ? Array.from({ length: PARTS }, (_, part) => inputs(which * PARTS + part))
      : undefined,
    seed: 7 + which,
  };
}

/** Sound comes in parts of a length that a microphone's have. */
function audioSizes({ inputs }: Manifest): Record<string, number> {
  return Object.fromEntries(
    inputs.flatMap(({ media, shape }) =>
      media?.kind === 'audio'
        ? shape.flatMap((size) =>
            typeof size === 'string' ? [[size, Math.ceil(media.sampleRate * PART_SECONDS)]] : [],
          )
        : [],
    ),
  );
}

/** A value near the default that is allowed as well; undefined where there is none to be found. */
function beside({ dtype, default: usual, oneOf, minimum, maximum }: ParameterSpec) {
  if (oneOf !== undefined) return oneOf.find((value) => value !== usual);
  if (typeof usual === 'boolean') return !usual;
  if (typeof usual !== 'number') return undefined;
  const step = dtype.startsWith('float') ? Math.max(Math.abs(usual) / 8, 0.01) : 1;
  return [usual + step, usual - step].find(
    (value) => value <= (maximum ?? Infinity) && value >= (minimum ?? (value < 0 ? Infinity : 0)),
  );
}
