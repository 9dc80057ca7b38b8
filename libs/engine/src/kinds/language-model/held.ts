/**
 * Turns whose scores are computed before it is known what their grammars allow: others are not to wait for that. Such
 * a turn holds its scores and sits steps out until its token can be chosen.
 */
import type { ScoreRange } from '../../output/scores';
import type { Answer } from './choice/answer';

/** Usually it is known before the graph has run. Others wait so long for one that is late. */
const MOMENT_MS = 5;

/** What a grammar allows next, which is being found out. */
export interface Preparation {
  /** Rejects where that fails. */
  readonly done: Promise<void>;
  isDone: boolean;
}

/** The scores of the next token, until what its grammar allows is known. */
export interface Held {
  readonly range: ScoreRange;
  readonly preparation: Preparation;
}

/** Begins to find what the next token may be, while the graph computes. Undefined where anything may follow. */
export function prepared(answer: Answer): Preparation | undefined {
  const done = answer.prepare();
  if (done === undefined) return undefined;
  const preparation = { done, isDone: false };
  const over = (): void => {
    preparation.isDone = true;
  };
  // It is awaited later, unless the graph fails before.
  void done.then(over, over);
  return preparation;
}

/** Resolves when all of them are done, or a moment has passed. */
export async function moment(preparations: readonly (Preparation | undefined)[]): Promise<void> {
  const late = preparations.filter((one): one is Preparation => one?.isDone === false);
  if (late.length === 0) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, MOMENT_MS);
    void Promise.allSettled(late.map(({ done }) => done)).then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** @param told is called when its token can be chosen, or cannot at all */
export function hold(
  turn: { held: Held | undefined },
  { scores, offset, count }: ScoreRange,
  preparation: Preparation,
  told: () => void,
): void {
  // The next run may write over them.
  const range = { scores: scores.slice(offset, offset + count), offset: 0, count };
  turn.held = { range, preparation };
  void preparation.done.then(told, told);
}
