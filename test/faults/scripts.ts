import { readFileSync } from 'node:fs';
import path from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { Random } from './random';

/** What one turn of a script sends. */
export type ScriptTurn =
  | {
      readonly kind: 'whole';
      readonly prompt: string | undefined;
      readonly tensors: readonly Tensor[];
      readonly parameters?: Readonly<Record<string, unknown>>;
    }
  /** Written part by part while its records are read. */
  | { readonly kind: 'live'; readonly parts: readonly (readonly Tensor[])[] };

/** A whole session: the same input gives the same records, so that two runs can be compared. */
export interface Script {
  readonly name: string;
  /** What figures tell it under; default: its model. */
  readonly group?: string;
  readonly model: string;
  readonly turns: readonly ScriptTurn[];
}

export type ScriptKind =
  'vad' | 'vad-live' | 'accumulator' | 'accumulator-live' | 'g2p' | 'counter' | 'language';

export const SCRIPT_KINDS: readonly ScriptKind[] = [
  'vad',
  'vad-live',
  'accumulator',
  'accumulator-live',
  'g2p',
  'counter',
  'language',
];

/** What a hoster must serve for these scripts. */
export const SCRIPT_MODELS = [
  'silero-vad',
  'accumulator',
  'g2p',
  'counter-generator',
  'llama',
] as const;

const FRAME = 512;
const recording = speech();
const { words } = JSON.parse(
  readFileSync(path.join(REPOSITORY_ROOT, 'test/assets/g2p-words.json'), 'utf8'),
) as { readonly words: readonly { readonly word: string }[] };

/** The script of that kind and number. */
export function makeScript(kind: ScriptKind, number: number): Script {
  const random = new Random(number * 31 + SCRIPT_KINDS.indexOf(kind));
  const turns = (from: number, to: number, make: (turn: number) => ScriptTurn): ScriptTurn[] =>
    Array.from({ length: random.int(from, to) }, (_, turn) => make(turn));
  const name = `${kind}-${String(number)}`;
  switch (kind) {
    // Lengths that are no multiple of a frame: what is left over belongs to the state.
    case 'vad':
      return {
        name,
        model: 'silero-vad',
        turns: turns(3, 6, (turn) => ({
          kind: 'whole',
          prompt: undefined,
          tensors: [audio(number * 17 + turn, random.int(20 * FRAME, 160 * FRAME))],
        })),
      };
    case 'vad-live':
      return {
        name,
        model: 'silero-vad',
        turns: turns(2, 4, (turn) => ({
          kind: 'live',
          parts: Array.from({ length: random.int(20, 80) }, (_, part) => [
            audio(number * 31 + turn * 7 + part, random.int(200, 2 * FRAME)),
          ]),
        })),
      };
    case 'accumulator':
      return {
        name,
        model: 'accumulator',
        turns: turns(3, 6, () => ({
          kind: 'whole',
          prompt: undefined,
          tensors: [signal(random, random.int(4 * 50, 4 * 300))],
        })),
      };
    case 'accumulator-live':
      return {
        name,
        model: 'accumulator',
        turns: turns(2, 4, () => ({
          kind: 'live',
          parts: Array.from({ length: random.int(20, 100) }, () => [
            signal(random, random.int(1, 9)),
          ]),
        })),
      };
    case 'g2p':
      return {
        name,
        model: 'g2p',
        turns: turns(4, 10, () => ({
          kind: 'whole',
          prompt: random.pick(words).word,
          tensors: [],
        })),
      };
    case 'counter':
      return {
        name,
        model: 'counter-generator',
        turns: turns(4, 10, () => ({
          kind: 'whole',
          prompt: Array.from({ length: random.int(1, 40) }, () => random.int(0, 3)).join(''),
          tensors: [],
        })),
      };
    // Text and ids, the most likely tokens and drawn ones.
    case 'language':
      return {
        name,
        model: 'llama',
        turns: turns(2, 4, (turn) => ({
          kind: 'whole',
          ...(random.next() < 0.5
            ? { prompt: random.pick(words).word, tensors: [] }
            : { prompt: undefined, tensors: [tokens(random, random.int(1, 100))] }),
          parameters: {
            max_tokens: 100,
            ...(random.next() < 0.5 && { temperature: 1.2, top_k: 60, top_p: 0.95, seed: turn }),
          },
        })),
      };
  }
}

/** Of no words: those of the vocabulary that are not special. */
function tokens(random: Random, length: number): Tensor {
  const ids = BigInt64Array.from({ length }, () => BigInt(random.int(3, 440)));
  return tensorOf('input_ids', ids, [length]);
}

function audio(number: number, samples: number): Tensor {
  return tensorOf('audio', variation(recording, number, samples), [samples]);
}

function signal(random: Random, length: number): Tensor {
  return tensorOf(
    'signal',
    Float32Array.from({ length }, () => random.next() * 8 - 4),
    [length],
  );
}
