/** What an answer says, with the calls in it told apart, if any may be there. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { ToolCallFormat } from '../../serving';
import type { FoundCall, Said } from './call';
import type { ToolOffer } from './offer';
import { toolReader } from './readers';
import type { ToolReader } from './readers';

/** A call as answers have it. */
export interface ToolCall extends FoundCall {
  readonly id: string;
  /** Of the calls of its answer, from 0. */
  readonly index: number;
}

/** A part of an answer. */
export type Part = { readonly text: string } | { readonly call: ToolCall };

/** Of an answer to which no function was offered, or whose model says in no known way that it calls one. */
const PLAIN: ToolReader = {
  push: (text) => (text === '' ? [] : [{ kind: 'content', text }]),
  end: () => [],
};

export class AnswerParts {
  readonly #reader: ToolReader;
  readonly #format: ToolCallFormat | undefined;
  #calls = 0;

  constructor(offer: ToolOffer | undefined, format: ToolCallFormat | undefined) {
    this.#format = format;
    const forced = offer !== undefined && offer.choice !== 'auto';
    const read = forced ? 'object' : format;
    this.#reader =
      offer === undefined || read === undefined
        ? PLAIN
        : toolReader(read, new Map(offer.functions.map((one) => [one.name, one.parameters])));
  }

  /** Whether it called a function so far. */
  get called(): boolean {
    return this.#calls > 0;
  }

  push(text: string): Part[] {
    return this.#parts(this.#reader.push(text));
  }

  /** Nothing follows. */
  end(): Part[] {
    return this.#parts(this.#reader.end());
  }

  #parts(said: readonly Said[]): Part[] {
    return said.map((one) =>
      one.kind === 'content'
        ? { text: one.text }
        : { call: { id: idFor(this.#format), index: this.#calls++, ...one.call } },
    );
  }
}

/** Templates of Mistral refuse others than of nine letters and digits. */
function idFor(format: ToolCallFormat | undefined): string {
  if (format !== 'mistral') return `call_${randomUUID().replaceAll('-', '')}`;
  return randomBytes(8).readBigUInt64LE().toString(36).padStart(9, '0').slice(-9);
}
