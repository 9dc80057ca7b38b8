/**
 * Long work on the event loop is cut into slices of a few milliseconds with `await breathe()` between
 * them. All such work of the process takes turns: between two slices, whosever they are, the loop does
 * everything else that waits, so that many long pieces of work at once pause others no longer than one.
 */

const waiting: (() => void)[] = [];
let scheduled = false;

/** Resolves when it is this caller's turn for a slice. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    schedule();
  });
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    waiting.shift()?.();
    // What is resolved now runs right after this callback, before the next one is due.
    if (waiting.length > 0) schedule();
  });
}
