/** A turn of a model with state. */
import type { Parameters } from '@cabstand/model';
import type { TurnFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import type { Sampling } from '../output/sampling';
import type { ActiveTurn } from '../runtime/sequence';
import type { InputSet } from './input-set';

export interface RecurrentTurn extends ActiveTurn {
  readonly parameters: Parameters;
  /** Index in the plan. */
  stage: number;
  /** What the next step takes besides frames; undefined while a live turn waits for it. */
  set: InputSet | undefined;
  /** No more input follows. */
  last: boolean;
  /** Live parts received. */
  parts: number;
  /** Generators: the prompt, how far it was read, and the token of the step before. */
  items: readonly number[];
  item: number;
  token: number;
  tokens: number;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** Verification lets neighbours run on. */
  ignoreStop: boolean;
  /** Of the parameters; made with the first snapshot. */
  fingerprint: Buffer | undefined;
}

/** A turn at its beginning, without its input. */
export function newTurn(
  { manifest }: BoundModel,
  frame: TurnFrame,
  parameters: Parameters,
): RecurrentTurn {
  const { generation } = manifest;
  const number = (name: string): number => Number(parameters[name] ?? 0);
  return {
    number: frame.turn,
    steps: 0,
    records: 0,
    cancelled: false,
    parameters,
    stage: 0,
    set: undefined,
    last: !frame.live,
    parts: 0,
    taken: 0,
    items: [],
    item: 0,
    token: generation?.start ?? 0,
    tokens: 0,
    maxTokens: generation === undefined ? 0 : number('max_tokens'),
    sampling: {
      temperature: number('temperature'),
      topK: number('top_k'),
      topP: 1,
      seed: number('seed'),
    },
    ignoreStop: false,
    fingerprint: undefined,
  };
}
