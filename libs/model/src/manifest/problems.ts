import { CabstandError, nearest, show } from '@cabstand/core';

/** An error of a manifest: names file, key, value and what was expected. */
export function manifestProblem(
  file: string,
  key: string,
  value: unknown,
  expected: string,
): CabstandError {
  const shown = show(value);
  return new CabstandError(
    'MANIFEST_INVALID',
    `${file}: ${key}: got ${shown}, expected ${expected}`,
    { metadata: { file, field: key, value: shown, expected } },
  );
}

/** Notes what is wrong with one key of a manifest. */
export type Report = (key: string, value: unknown, expected: string) => void;

/** All that is wrong with one manifest: who mends it wants to hear of everything at once. */
export class Problems {
  readonly #file: string;
  readonly #found: CabstandError[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  readonly report: Report = (key, value, expected) => {
    this.add(manifestProblem(this.#file, key, value, expected));
  };

  add(problem: CabstandError): void {
    // The same key may be wrong in the same way for two reasons.
    if (!this.#found.some(({ message }) => message === problem.message)) this.#found.push(problem);
  }

  /** @throws CabstandError MANIFEST_INVALID with every problem; its metadata are those of the first. */
  throwIfAny(): void {
    const [first] = this.#found;
    if (first === undefined) return;
    throw problemsOf(this.#file, [first, ...this.#found.slice(1)]);
  }
}

/** So many are named; how many there are is told. */
const MOST_NAMED = 20;

/** One error for all of them. */
export function problemsOf(
  file: string,
  problems: readonly [CabstandError, ...CabstandError[]],
): CabstandError {
  const [first] = problems;
  if (problems.length === 1) return first;
  const left = problems.length - MOST_NAMED;
  const lines = problems
    .slice(0, MOST_NAMED)
    .map(({ message }) => `\n  ${message.replace(`${file}: `, '')}`);
  return new CabstandError(
    'MANIFEST_INVALID',
    `${file}: ${problems.length} problems:${lines.join('')}${left > 0 ? `\n  … and ${left} more` : ''}`,
    { metadata: { ...first.metadata, problems: String(problems.length) } },
  );
}

/** “one of a, b, c”, and the nearest one if the word is a near miss. */
export function oneOf(word: string, choices: readonly string[]): string {
  if (choices.length === 0) return 'none (nothing of that kind is declared)';
  const guess = nearest(word, choices);
  const list =
    choices.length > 20 ? `one of ${choices.length} names` : `one of ${choices.join(', ')}`;
  return guess === undefined ? list : `${list}; did you mean ${guess}?`;
}
