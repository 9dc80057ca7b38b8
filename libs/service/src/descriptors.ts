import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { every, isOutOfDescriptors, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

const PERIOD_MS = 1000;
/** While it stays so, it is said again after this time. */
const REPEAT_MS = 60_000;

interface DescriptorLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DescriptorWatch {
  readonly log: DescriptorLog;
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /** Opens and closes something. Default: `/dev/null`. */
  readonly attempt?: () => Promise<void>;
}

/**
 * Says in the log when the process has no file descriptor left, and when it has again. The system tells
 * nobody: it takes connections and closes them at once. Answers how to end the watch.
 */
export function watchDescriptors({
  log,
  clock = systemClock,
  attempt = openNull,
}: DescriptorWatch): () => void {
  // Read now: then there may be no descriptor to read it with.
  const limit = descriptorLimit();
  const fields = limit === undefined ? {} : { limit };
  let saidAt: number | undefined;
  let asking = false;
  const look = async (): Promise<void> => {
    const failure: unknown = await attempt().then(
      () => undefined,
      (error: unknown) => error,
    );
    const now = clock.monotonic();
    if (!isOutOfDescriptors(failure)) {
      if (saidAt !== undefined) log.warn(fields, 'file descriptors are free again');
      saidAt = undefined;
    } else if (saidAt === undefined || now - saidAt >= REPEAT_MS) {
      saidAt = now;
      log.error(
        fields,
        `out of file descriptors${limit === undefined ? '' : ` (limit ${limit})`}: connections are cut and ` +
          'engines cannot start. Raise the limit (ulimit -n, or LimitNOFILE in systemd) and start again, ' +
          'or lower rpc.max_connections',
      );
    }
  };
  const timer = every(clock, PERIOD_MS, () => {
    if (asking) return;
    asking = true;
    void look().finally(() => (asking = false));
  });
  return () => timer.cancel();
}

async function openNull(): Promise<void> {
  await (await open('/dev/null')).close();
}

/** Undefined where the system does not say. Node raises the limit to the hard one when it starts. */
function descriptorLimit(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const found = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    return Number.isFinite(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
