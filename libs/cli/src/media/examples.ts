import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { exampleTurns } from '@cabstand/model';
import type { v1 } from '@cabstand/rpc';
import { UsageError } from '../errors';
import { signatureOf } from './model-signature';
import type { TurnSource } from './turns';

type WholeTurn = Extract<TurnSource, { kind: 'whole' }>;

/** Texts that vocabularies of letters, of digits and of words may have. */
const TEXTS = ['hello', 'the', 'a', '1', 'A', '.'] as const;

/** What is refused of an example: a hoster does not tell everything of what a model takes. */
const MISFITS: ReadonlySet<Reason> = new Set<Reason>([
  'INPUT_OUT_OF_RANGE',
  'INPUT_SHAPE',
  'INPUT_TEXT',
  // The graph itself refused it: an index that is none, say.
  'INVALID_ARGUMENT',
]);

/**
 * Inputs that a model takes, as far as its description tells; the most plausible first. Each is to be
 * tried when the one before does not fit.
 *
 * @param sizes of free dimensions by name; others are small.
 * @throws UsageError where none can be made.
 */
export function exampleInputs(
  model: v1.ModelInfo__Output,
  sizes: Readonly<Record<string, number>>,
): WholeTurn[] {
  const texts = model.inputs.every(({ media }) => media === 'text') && model.takes_prompt;
  if (texts)
    return TEXTS.map((text) => ({
      ...{ kind: 'whole', label: JSON.stringify(text), prompt: text, tensors: [] },
    }));
  const turns = makeTurns(model, sizes);
  if (turns.length === 0)
    throw new UsageError(
      `there is no example that ${model.offer?.name ?? 'the model'} would take`,
      'Its inputs are larger than what is made for an example: send your own with --tensor.',
    );
  return turns.map(({ inputs, style }) => ({
    ...{ kind: 'whole', prompt: undefined, tensors: inputs },
    label: inputs
      .map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}] of ${style}`)
      .join(', '),
  }));
}

function makeTurns(
  model: v1.ModelInfo__Output,
  sizes: Readonly<Record<string, number>>,
): ReturnType<typeof exampleTurns> {
  try {
    return exampleTurns(signatureOf(model), { sizes });
  } catch (error) {
    throw new UsageError(CabstandError.from(error).message, undefined, error);
  }
}

/** Whether another example might do. */
export function isMisfit(error: unknown): boolean {
  return CabstandError.is(error) && MISFITS.has(error.reason);
}
