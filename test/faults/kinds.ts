/** All kinds of streams that a schedule of faults has, and what serves them. */
import { ANSWER_KINDS, ANSWER_MODELS, makeAnswers } from './language-models/scripts';
import type { AnswerKind, AnswerScript } from './language-models/scripts';
import { MODULE_MODELS } from './module-models';
import { SCRIPT_KINDS, SCRIPT_MODELS, makeScript } from './scripts';
import type { Script, ScriptKind } from './scripts';

/** Sessions of modules: of each class, with input from the beginning and live. */
export const RIDE_KINDS = ['replay', 'commit', 'replay-live', 'commit-live'] as const;
export type RideKind = (typeof RIDE_KINDS)[number];

/** Turns whose records are those of an undisturbed run. */
type ComparedKind = ScriptKind | AnswerKind;
export type StreamKind = ComparedKind | RideKind;

export const GROUPS = {
  models: SCRIPT_KINDS,
  modules: RIDE_KINDS,
  'language-models': ANSWER_KINDS,
} as const satisfies Record<string, readonly StreamKind[]>;

export function isRide(kind: StreamKind): kind is RideKind {
  return RIDE_KINDS.some((one) => one === kind);
}

export function isAnswer(kind: StreamKind): kind is AnswerKind {
  return ANSWER_KINDS.some((one) => one === kind);
}

/** Names of the models that streams of these kinds ask. */
export function modelsOf(kinds: readonly StreamKind[]): string[] {
  const others = kinds.some((kind) => !isRide(kind) && !isAnswer(kind));
  return [
    ...new Set([
      ...(others ? SCRIPT_MODELS : []),
      ...(kinds.some(isRide) ? MODULE_MODELS : []),
      ...(kinds.some(isAnswer) ? ANSWER_MODELS : []),
    ]),
  ];
}

/** A script, and of a language model what its answers have to be. */
export interface Compared {
  readonly script: Script;
  readonly answers?: AnswerScript;
}

export function comparedOf(kind: ComparedKind, number: number): Compared {
  if (!isAnswer(kind)) return { script: makeScript(kind, number) };
  const answers = makeAnswers(kind, number);
  return { script: answers, answers };
}
