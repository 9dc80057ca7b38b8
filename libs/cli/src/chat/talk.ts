/** A conversation with a language model, which is told all of it with each question. */
import type { Session } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';

type Generate = Parameters<Session['generate']>[0];
type Message = NonNullable<Generate['messages']>[number];

/** What is needed of a session. */
export interface Answering {
  generate(options: Generate): AsyncIterable<{ readonly text: string }>;
}

export interface TalkOptions {
  /** What the model is told before anything else. */
  readonly system: string | undefined;
  /** Of each turn, by the names of the model. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export class Talk {
  readonly #session: Answering;
  readonly #parameters: TalkOptions['parameters'];
  #said: readonly Message[];

  constructor(session: Answering, { system, parameters }: TalkOptions) {
    this.#session = session;
    this.#parameters = parameters;
    this.#said = system === undefined ? [] : [{ role: 'system', content: system }];
  }

  /** What was said so far. A question without an answer is none. */
  get said(): readonly Message[] {
    return this.#said;
  }

  /**
   * Asks, and gives the answer as it comes. An answer that was stopped is kept as far as it came.
   *
   * @param stop ends the answer, not the conversation
   * @throws CabstandError that the turn failed with; nothing was said then.
   */
  async ask(
    question: string,
    write: (text: string) => Promise<void>,
    stop: AbortSignal,
  ): Promise<void> {
    const messages = [...this.#said, { role: 'user', content: question } as const];
    let answer = '';
    try {
      const parameters = this.#parameters;
      for await (const { text } of this.#session.generate({ messages, parameters, signal: stop })) {
        answer += text;
        await write(text);
      }
    } catch (error) {
      if (!stop.aborted || CabstandError.from(error).reason !== 'CANCELLED') throw error;
    }
    if (answer !== '') this.#said = [...messages, { role: 'assistant', content: answer }];
  }
}
