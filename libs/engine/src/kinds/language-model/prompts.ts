/** What turns begin with: ids of tokens, text, or a conversation. */
import { invalid } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import { arrayOf } from '@cabstand/tensor';
import type { TurnFrame } from '../../frames/types';
import { PromptReader, SHORT, checkLength } from './prompt-reader';
import type { Prompt } from './prompt-reader';
import type { TextCodec } from './tokenizer';

export class Prompts {
  readonly #contextLength: number;
  readonly #codec: TextCodec | undefined;
  readonly #reader: PromptReader | undefined;

  constructor(
    { tokenizer, chat, contextLength }: LanguageModelProgram,
    codec: TextCodec | undefined,
  ) {
    this.#contextLength = contextLength;
    this.#codec = codec;
    this.#reader = tokenizer && new PromptReader({ tokenizer, chat, contextLength });
  }

  /**
   * Ids of the prompt's tokens, or what `read` finds them in.
   *
   * @throws CabstandError INPUT_UNKNOWN for text without a tokenizer, INPUT_TEXT, LIMIT_EXCEEDED.
   */
  given({ prompt: text, inputs }: TurnFrame): readonly number[] | Prompt {
    const codec = this.#codec;
    const messages = inputs.find(({ name }) => name === 'messages')?.strings?.[0];
    // How long a conversation is, its template says, which takes its time.
    if (messages !== undefined) return { kind: 'messages', text: messages };
    if (text === '') return inputs.flatMap((tensor) => Array.from(arrayOf(tensor), Number));
    if (codec === undefined)
      throw invalid('INPUT_UNKNOWN', 'prompt', text, 'none: this model takes ids of tokens');
    if (text.length <= SHORT) return codec.encode(text);
    const prompt: Prompt = { kind: 'prompt', text };
    checkLength(prompt, this.#contextLength, codec.longest);
    return prompt;
  }

  /** @see PromptReader.read */
  async read(prompt: Prompt, owner: string, signal: AbortSignal): Promise<readonly number[]> {
    return (await this.#reader?.read(prompt, owner, signal)) ?? [];
  }
}
