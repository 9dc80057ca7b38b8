/**
 * Reads a turn on, and answers what it comes to. Rejects as it does; that counts as heard, whether or not anybody
 * waits for it.
 */
export function readOn(turn: AsyncIterator<unknown, unknown>): Promise<unknown> {
  const end = (async () => {
    for (;;) {
      const step = await turn.next();
      if (step.done === true) return step.value;
    }
  })();
  end.catch(() => undefined);
  return end;
}
