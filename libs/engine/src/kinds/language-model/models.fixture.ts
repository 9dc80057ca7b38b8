/** The language models of test/language-models, and what they must answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TokenizerFiles } from './prompt-reader';
import { TextCodec } from './tokenizer';

const FOLDER = join(__dirname, '../../../../../test/language-models');

export const NAMES = ['gpt2', 'llama'] as const;
/** Other llamas: with caches of a fixed size (GroupQueryAttention), and of float16. */
export const EXACT_NAMES = [...NAMES, 'llama-gqa', 'llama-f16'] as const;
/** Those that round to few bits: each processor has kernels of its own for that, so what they answer stands nowhere. */
export const ROUNDED_NAMES = ['llama-int4', 'gpt2-int8'] as const;
export const ALL_NAMES = [...EXACT_NAMES, ...ROUNDED_NAMES] as const;
export type ExactName = (typeof EXACT_NAMES)[number];
export type Name = (typeof ALL_NAMES)[number];

/** What transformers answers. */
export interface Greedy {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  /** How much likelier each token was than the next likely one, as logarithms; where it was asked for. */
  readonly margins?: readonly number[];
}

/** What the tokenizers library says of a text, or of what a model went on with. */
export interface Text {
  readonly text?: string;
  readonly ids: readonly number[];
  readonly decoded: string;
  /** Ids of the prompt, where `ids` go on with one. */
  readonly before?: readonly number[];
}

/** Folder of a model. */
export const folderOf = (name: Name): string => join(FOLDER, name);
export const greedyOf = (name: ExactName): Greedy[] => read(`${name}-greedy.json`) as Greedy[];
export const textsOf = (name: Name): Text[] => read(`${name}-texts.json`) as Text[];

export function filesOf(name: Name): TokenizerFiles {
  const file = (one: string): string => join(FOLDER, name, '1', one);
  return { file: file('tokenizer.json'), config: file('tokenizer_config.json') };
}

export const codecOf = (name: Name): Promise<TextCodec> => TextCodec.load(filesOf(name));

export function read(file: string): unknown {
  return JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
}
