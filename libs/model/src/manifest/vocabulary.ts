/** Text ↔ token ids. Pure: main refuses what the vocabulary lacks before an engine sees it. */
import { invalid } from '@cabstand/core';
import type { TextInput, TextOutput, Vocabulary } from './signature';

export function vocabularyOf(tokens: readonly string[]): Vocabulary {
  return { tokens, ids: new Map(tokens.map((token, id) => [token, id])) };
}

/**
 * Token ids of a prompt. Throws INPUT_TEXT naming what the vocabulary lacks.
 *
 * @param most pieces to look up, for who takes no more anyway: further ones are left out.
 */
export function encodeText(text: string, input: TextInput, most = Infinity): number[] {
  const ids: number[] = [];
  for (const piece of piecesOf(withCase(text, input.case), input.split)) {
    if (ids.length >= most) break;
    const id = input.vocabulary.ids.get(piece);
    if (id === undefined)
      throw invalid(
        'INPUT_TEXT',
        'prompt',
        piece,
        `only what the model's vocabulary has (${sample(input.vocabulary)})`,
      );
    ids.push(id);
  }
  if (ids.length === 0) throw invalid('INPUT_TEXT', 'prompt', text, 'some text');
  return [...ids, ...input.append];
}

function* piecesOf(text: string, split: TextInput['split']): Generator<string, void> {
  if (split === 'characters') yield* text;
  else for (const [word] of text.matchAll(/\S+/gu)) yield word;
}

/** Text of one token: texts of a turn's records, put together, are the turn's text. */
export function decodeToken(id: number, first: boolean, output: TextOutput | undefined): string {
  if (output === undefined) return '';
  const token = output.vocabulary.tokens[id] ?? '';
  return first ? token : output.join + token;
}

function withCase(text: string, how: TextInput['case']): string {
  if (how === 'keep') return text;
  return how === 'lower' ? text.toLowerCase() : text.toUpperCase();
}

function sample({ tokens }: Vocabulary): string {
  const shown = tokens.slice(0, 40).join(' ');
  return tokens.length > 40 ? `${shown} … ${tokens.length} in all` : shown;
}
