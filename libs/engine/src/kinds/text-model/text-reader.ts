/** Finds the tokens of texts: few at once, many between steps of others, long ones in a thread. */
import { setImmediate } from 'node:timers/promises';
import { invalid } from '@cabstand/core';
import type { TokenizerFiles } from '@cabstand/model';
import { PromptReader, SHORT, mostCharacters } from '../language-model/prompt-reader';
import type { TextCodec } from '../language-model/tokenizer';

export type Ids = readonly number[];

export class TextReader {
  readonly #codec: TextCodec;
  readonly #reader: PromptReader;

  constructor(codec: TextCodec, files: TokenizerFiles) {
    this.#codec = codec;
    this.#reader = new PromptReader({ tokenizer: files, chat: undefined, contextLength: Infinity });
  }

  /**
   * What has far more characters than so many tokens can have is not read: that takes a while, and others wait for it.
   *
   * @throws CabstandError LIMIT_EXCEEDED
   */
  checkLength(prompt: string, tokens: number): void {
    const most = mostCharacters(tokens, this.#codec.longest);
    if (prompt.length <= most) return;
    const length = `${prompt.length} characters`;
    throw invalid('LIMIT_EXCEEDED', 'prompt', length, `at most ${most}: ${tokens} tokens are read`);
  }

  /**
   * Ids of each text. A promise where together they are long.
   *
   * @param owner owners take turns, however many texts each of them has
   * @param signal gives up what is read in the thread
   * @throws CabstandError INPUT_TEXT for a text without tokens, LIMIT_EXCEEDED for one that takes too long, CANCELLED.
   */
  read(texts: readonly string[], owner: string, signal: AbortSignal): Ids[] | Promise<Ids[]> {
    const characters = texts.reduce((sum, { length }) => sum + length, 0);
    if (characters <= SHORT) return texts.map((text) => this.#codec.encode(text));
    return this.#inThread(texts, owner, signal);
  }

  async #inThread(texts: readonly string[], owner: string, signal: AbortSignal): Promise<Ids[]> {
    const ids: Ids[] = [];
    let sincePause = 0;
    for (const text of texts) {
      signal.throwIfAborted();
      if (text.length > SHORT) {
        ids.push(await this.#reader.read({ kind: 'prompt', text }, owner, signal));
        continue;
      }
      ids.push(this.#codec.encode(text));
      sincePause += text.length;
      if (sincePause <= SHORT) continue;
      // Many short ones together take as long as a long one.
      sincePause = 0;
      await setImmediate();
    }
    return ids;
  }
}
