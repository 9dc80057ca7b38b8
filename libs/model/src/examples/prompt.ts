/** Example text for models that take a prompt. */
import { CabstandError } from '@cabstand/core';
import type { ModelSignature, TextInput } from '../manifest/signature';
import { encodeText } from '../manifest/vocabulary';
import { noise } from './noise';

const LONGEST = 8;
/** Vocabularies may be large; so many words are enough to choose from. */
const LOOKED_AT = 4096;

/** Some words of the model's vocabulary; undefined where none can be written. */
export function examplePrompt(signature: ModelSignature, seed: number): string | undefined {
  const { input } = signature.text;
  if (!signature.takesPrompt || input === undefined) return undefined;
  const words = input.vocabulary.tokens
    .slice(0, LOOKED_AT)
    .filter((word) => word.trim() !== '' && tokensOf(word, input) === 1);
  const room = signature.limits.maxSequenceLength - input.append.length;
  if (words.length === 0 || room < 1) return undefined;
  const count = Math.min(room, 1 + Math.floor(noise(seed, 0) * LONGEST));
  const chosen = Array.from(
    { length: count },
    (_, index) => words[Math.floor(noise(seed, index + 1) * words.length)] ?? '',
  );
  const text = chosen.join(input.split === 'spaces' ? ' ' : '');
  const tooLong = text.length > signature.limits.maxInputBytes;
  return tooLong || tokensOf(text, input) === undefined ? undefined : text;
}

/** How many tokens a text is; undefined where it has what the vocabulary lacks. */
function tokensOf(text: string, input: TextInput): number | undefined {
  try {
    return encodeText(text, { ...input, append: [] }).length;
  } catch (error) {
    if (CabstandError.is(error)) return undefined;
    throw error;
  }
}
