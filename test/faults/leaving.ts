/**
 * Ends the process when a program is done. Node 20 may spin for ever where it leaves by itself after
 * connections were broken in the middle of a write: it waits for handles that are gone.
 */
export function leaving(done: Promise<void>): void {
  done
    .catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
      process.exitCode = 1;
    })
    .finally(() => process.exit());
}
