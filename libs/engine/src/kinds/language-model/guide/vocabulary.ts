/** The tokens of tokenizer.json as grammars need them. */
import { parseJson, readRegular } from '@cabstand/model';
import { CabstandError } from '@cabstand/core';
import type { GuideVocabulary } from './library';

const LARGEST = 256 * 1024 * 1024;

interface Written {
  readonly model?: { readonly vocab?: Readonly<Record<string, number>> | readonly unknown[] };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly decoder?: unknown;
}

/**
 * @param size ids that the graph has scores for
 * @throws CabstandError MODEL_FAILED for a tokenizer whose tokens do not say which bytes they are
 */
export async function readGuideVocabulary(
  file: string,
  size: number,
  ends: readonly number[],
): Promise<GuideVocabulary> {
  const written = parseJson(await readRegular(file, LARGEST)) as Written;
  const type = typeOf(JSON.stringify(written.decoder ?? null));
  if (type === undefined)
    throw new CabstandError(
      'MODEL_FAILED',
      `${file}: json_schema, regex, choice and grammar need a decoder of ByteLevel, ByteFallback or Metaspace`,
      { metadata: { file } },
    );
  const tokens = Array.from({ length: size }, () => '');
  const put = (token: string, id: number): void => {
    if (id < size) tokens[id] = token;
  };
  const vocab = written.model?.vocab ?? {};
  // Unigram models have a list of pieces with their scores.
  if (Array.isArray(vocab))
    vocab.forEach((piece: unknown, id) => put(String((piece as unknown[])[0]), id));
  else
    for (const [token, id] of Object.entries(vocab as Readonly<Record<string, number>>))
      put(token, id);
  // Special ones have no text, and the others can be written with ordinary tokens.
  for (const { id } of written.added_tokens ?? []) put('', id);
  return { tokens, type, ends };
}

function typeOf(decoder: string): GuideVocabulary['type'] | undefined {
  if (decoder.includes('"ByteLevel"')) return 'byte_level';
  return /"ByteFallback"|"Metaspace"|▁/.test(decoder) ? 'byte_fallback' : undefined;
}
