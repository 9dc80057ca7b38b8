/** A turn of a language model with an encoder: what is encoded, and what the answer begins with. */
import type { DecoderPrefix, EncoderDecoderProgram, Parameters } from '@cabstand/model';
import { createHash } from 'node:crypto';
import { invalid } from '@cabstand/core';
import { arrayOf } from '@cabstand/tensor';
import type { TurnFrame } from '../../frames/types';
import { fingerprintOf } from '../../snapshot/header';
import type { ReadingTurn, LanguageTurn } from '../language-model/turn';
import { newTurn } from '../language-model/turn';
import type { TextStream } from '../language-model/text-stream';

/** Ids of tokens, samples, or features. */
export type Given = readonly number[] | Float32Array;

export interface EncodedTurn extends LanguageTurn {
  readonly given: Given;
  /** One of them is the second token of the answer: the likeliest one. Undefined where it is known. */
  languages: readonly number[] | undefined;
}

export type EncoderTurn = ReadingTurn | EncodedTurn;

/** Ids or numbers that were sent, where no text was. */
export function tensorGiven({ inputs }: TurnFrame): Given {
  const [tensor] = inputs;
  if (tensor === undefined) return [];
  const values = arrayOf(tensor);
  return values instanceof Float32Array ? values : Array.from(values as BigInt64Array, Number);
}

/**
 * A turn at its beginning.
 *
 * @throws CabstandError INPUT_MISSING, LIMIT_EXCEEDED or INPUT_TEXT: nothing was computed.
 */
export function newEncodedTurn(
  number: number,
  given: Given,
  parameters: Parameters,
  { encoder, prefix, target, suppress, beginSuppress }: EncoderDecoderProgram,
  textOf: (begin: readonly number[]) => TextStream | undefined,
): EncodedTurn {
  if (!(given instanceof Float32Array)) checkTokens(given, encoder.source);
  const { begin, languages } = beginOf(prefix, parameters);
  const suppressed = { always: suppress, first: beginSuppress };
  const turn = newTurn(number, begin, parameters, target, textOf(begin), {
    suppressed,
    promptTokens: given instanceof Float32Array ? begin.length : given.length,
  });
  // Going on with what another input began would be an answer to neither.
  const bytes = given instanceof Float32Array ? given : Uint32Array.from(given);
  const input = createHash('sha256').update(bytes).digest('hex');
  const fingerprint = fingerprintOf({ parameters, begin, input });
  return Object.assign(turn, { given, languages, fingerprint });
}

function beginOf(
  { start, speech, rest }: DecoderPrefix,
  { language, task }: Parameters,
): { readonly begin: readonly number[]; readonly languages: readonly number[] | undefined } {
  if (speech === undefined) return { begin: [start, ...rest], languages: undefined };
  const spoken = typeof language === 'string' ? speech.languages[language] : undefined;
  const asked = typeof task === 'string' ? speech.tasks[task] : undefined;
  const languages = spoken === undefined ? Object.values(speech.languages) : undefined;
  // The language that is found later takes the place of the second token.
  const begin = [start, spoken ?? start, ...(asked === undefined ? [] : [asked]), ...rest];
  return { begin, languages };
}

function checkTokens(
  ids: readonly number[],
  source: EncoderDecoderProgram['encoder']['source'],
): void {
  if (source.kind !== 'tokens') return;
  const { maxTokens, vocabularySize } = source;
  if (ids.length === 0) throw invalid('INPUT_MISSING', 'prompt', '', 'at least one token');
  if (ids.length > maxTokens)
    throw invalid('LIMIT_EXCEEDED', 'prompt', `${ids.length} tokens`, `at most ${maxTokens}`);
  const odd = ids.find((id) => !(id >= 0 && id < vocabularySize));
  if (odd !== undefined)
    throw invalid('INPUT_TEXT', 'prompt', odd, `ids of tokens, from 0 to ${vocabularySize - 1}`);
}
