/** Finds the tokens of long prompts and of conversations in a thread of its own: the steps of others go on meanwhile. */
import { invalid } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import { ThreadQueue } from './thread-queue';

export type TokenizerFiles = NonNullable<LanguageModelProgram['tokenizer']>;

/** What the thread works with. */
export interface PromptFiles {
  readonly tokenizer: TokenizerFiles;
  readonly chat: LanguageModelProgram['chat'];
  readonly contextLength: number;
}

/** Text, or a conversation as JSON. */
export interface Prompt {
  readonly kind: 'prompt' | 'messages';
  readonly text: string;
}

/** Longest that one prompt may take; 100,000 characters take less than a second. */
const LIMIT_MS = 30_000;
/** Of the thread: templates are the model's, but what they repeat is the caller's. */
const LIMIT_MIB = 2048;
/** Characters that are read between two steps: that takes a millisecond or two. */
export const SHORT = 1000;
/** Some tokenizers make one space of several, or one token of characters that they do not know. */
const SHRINKS = 4;

/** Reads one prompt after another. Owners take turns, however many prompts each of them has. */
export class PromptReader implements AsyncDisposable {
  readonly #queue: ThreadQueue<Prompt, readonly number[]>;

  constructor(files: PromptFiles, limitMs = LIMIT_MS) {
    this.#queue = new ThreadQueue({
      entry: 'kinds/language-model/prompt-thread.js',
      data: files,
      limitMs,
      limitMiB: LIMIT_MIB,
      tooLong: ({ kind, text }) =>
        invalid(
          'LIMIT_EXCEEDED',
          kind,
          `${text.length} characters`,
          `at most what is read in ${limitMs / 1000} s`,
        ),
    });
  }

  /**
   * Ids of a prompt's tokens.
   *
   * @param signal gives it up, even while it is read: those behind it wait no longer for it then
   * @throws CabstandError INPUT_TEXT for a text without tokens, LIMIT_EXCEEDED for one that takes too long,
   *   INVALID_ARGUMENT for what is no conversation, CANCELLED.
   */
  read(prompt: Prompt, owner: string, signal?: AbortSignal): Promise<readonly number[]> {
    return this.#queue.ask(prompt, owner, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue[Symbol.asyncDispose]();
  }
}

/**
 * Characters that so many tokens may have.
 *
 * @param longest characters of the longest token
 */
export function mostCharacters(tokens: number, longest: number): number {
  return tokens * longest * SHRINKS;
}

/**
 * What cannot fit into the context is not read: that takes a while, and others wait for it.
 *
 * @param longest characters of the longest token
 * @throws CabstandError LIMIT_EXCEEDED.
 */
export function checkLength({ kind, text }: Prompt, contextLength: number, longest: number): void {
  const most = mostCharacters(contextLength, longest);
  if (text.length > most)
    throw invalid(
      'LIMIT_EXCEEDED',
      kind,
      `${text.length} characters`,
      `at most ${most}: the context holds ${contextLength} tokens`,
    );
}
