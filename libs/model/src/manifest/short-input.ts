/** Input that is too short for one frame: a turn with no other computes nothing. */
import { invalid } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { FramedInput, ModelSignature } from './signature';

/**
 * Refuses a whole turn whose framed input would be dropped without a step.
 *
 * @throws CabstandError INPUT_SHAPE naming what one frame takes.
 */
export function checkOneFrame({ framed }: ModelSignature, tensors: readonly Tensor[]): void {
  for (const { input, axis, frame, remainder } of framed) {
    const shape = tensors.find(({ name }) => name === input)?.shape;
    const items = shape?.[axis] ?? frame;
    if (remainder !== 'drop' || items >= frame) continue;
    throw invalid(
      'INPUT_SHAPE',
      `tensor ${input} shape`,
      shape,
      `${frame} items or more at axis ${axis}, which is one frame: pad the input, ` +
        "or let the model's framing declare remainder: keep or pad",
    );
  }
}

/** Why a turn that ended in order computed nothing; empty where its input is not the reason. */
export function noStepNote({ framed }: ModelSignature): string {
  if (framed.length === 0) return '';
  const frames = framed.map(({ input, frame }) => `${frame} items of ${input}`).join(' and ');
  // All of them have the same.
  const there = FATES[framed[0]?.remainder ?? 'drop'];
  return `no step was computed: one frame takes ${frames}, and ${there}`;
}

const FATES: Readonly<Record<FramedInput['remainder'], string>> = {
  keep: 'less was there; it is kept for the next turn',
  pad: 'nothing was there',
  drop: 'less was there; it is dropped',
};
