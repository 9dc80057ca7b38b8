import { isKnown } from './scripts';
import type { Watched } from '../watched';
import type { AnswerVerdict } from './check';
import type { AnswerKind } from './scripts';

interface Figures {
  sessions: number;
  /** Times that a fault struck one. */
  struck: number;
  /** Tokens that were compared, and are right. */
  tokens: number;
  /** Of these, with transformers as well; of greedy answers only. */
  known: number;
  /** Whole answers that are of their form; of guided ones only. */
  valid: number;
}

/** What was checked of answers of language models, by their kind. */
export class AnswerFigures {
  readonly #kinds: ReadonlyMap<string, Figures>;

  /** @param kinds those that must run */
  constructor(kinds: readonly AnswerKind[]) {
    const none = { sessions: 0, struck: 0, tokens: 0, known: 0, valid: 0 };
    this.#kinds = new Map(kinds.map((kind) => [kind, { ...none }]));
  }

  struck({ group }: Watched): void {
    const figures = this.#kinds.get(group);
    if (figures !== undefined) figures.struck++;
  }

  judged({ started, tokens, known, valid }: AnswerVerdict, { group }: Watched): void {
    const figures = this.#kinds.get(group);
    if (figures === undefined || !started) return;
    figures.sessions++;
    figures.tokens += tokens;
    figures.known += known;
    figures.valid += valid;
  }

  /** Of what has to happen, what has not. */
  get missing(): string[] {
    // Which kinds are struck is chance where faults are few.
    const struck = [...this.#kinds.values()].some((figures) => figures.struck > 0);
    return [
      ...(this.#kinds.size > 0 && !struck ? ['language models: struck'] : []),
      ...[...this.#kinds].flatMap(([kind, { sessions, tokens, known, valid }]) =>
        Object.entries({
          ...{ sessions, tokens },
          ...(isKnown(kind) && { known }),
          ...(kind.startsWith('guided') && { valid }),
        })
          .filter(([, count]) => count === 0)
          .map(([what]) => `${kind}: ${what}`),
      ),
    ];
  }

  /** A table; empty where no answers were to be checked. */
  lines(): string[] {
    if (this.#kinds.size === 0) return [];
    const row = (name: string, cells: readonly (string | number)[]): string =>
      [name.padEnd(17), ...cells.map((cell) => String(cell).padStart(9))].join('');
    return [
      '',
      row('language models', ['sessions', 'struck', 'tokens', 'known', 'valid']),
      ...[...this.#kinds].map(([kind, { sessions, struck, tokens, known, valid }]) =>
        row(kind, [sessions, struck, tokens, known, valid]),
      ),
    ];
  }
}
