/** Machines of continuous integration do much else, and have the environment variable CI. */
const LIMIT_MS = process.env['CI'] === undefined ? 30_000 : 120_000;

/**
 * Asks again and again until the answer is not undefined, for what other processes do and announce to
 * nobody. Throws, saying what it waited for and what `explain` knows, after `timeoutMs`: by
 * default 30 s, where the environment has `CI` 2 minutes; at once where `hopeless` says why it will not come.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  options: {
    readonly timeoutMs?: number;
    readonly explain?: () => string;
    readonly hopeless?: () => string | undefined;
  } = {},
): Promise<T> {
  const { timeoutMs = LIMIT_MS, explain, hopeless } = options;
  const failed = (why: string): Error => new Error(`${why}\n${explain?.() ?? ''}`);
  const end = performance.now() + timeoutMs;
  let last = '';
  while (performance.now() < end) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = ` (${error instanceof Error ? error.message : 'it threw'})`;
    }
    const why = hopeless?.();
    if (why !== undefined) throw failed(`waited for ${what}, but ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw failed(`waited ${String(timeoutMs)} ms for ${what}${last}`);
}
