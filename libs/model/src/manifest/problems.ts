import { CabstandError, show } from '@cabstand/core';

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

/** Throws an error of one manifest. */
export type Fail = (key: string, value: unknown, expected: string) => never;

/** The nearest of `choices` to a mistyped word, or undefined if none is near. */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (distance < bestDistance) {
      best = choice;
      bestDistance = distance;
    }
  }
  return best;
}

/** “one of a, b, c”, and the nearest one if the word is a near miss. */
export function oneOf(word: string, choices: readonly string[]): string {
  if (choices.length === 0) return 'none (nothing of that kind is declared)';
  const guess = nearest(word, choices);
  const list =
    choices.length > 20 ? `one of ${choices.length} names` : `one of ${choices.join(', ')}`;
  return guess === undefined ? list : `${list}; did you mean ${guess}?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}
