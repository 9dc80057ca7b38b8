import { fail, warn } from './finding';
import type { Finding } from './finding';

const DAY_MS = 24 * 3600 * 1000;

/** Whoever renews a key or a certificate when the first warning comes has this long. */
const SOON_MS = 30 * DAY_MS;

/**
 * What is to be said about something that ends: nothing before the last 30 days, then a warning, and a failure from
 * its end on.
 *
 * @param endMs milliseconds since the epoch; Infinity for what has no end
 */
export function ending(
  name: string,
  what: string,
  endMs: number,
  nowMs: number,
  advice: string,
): Finding | undefined {
  if (!Number.isFinite(endMs) || endMs - nowMs >= SOON_MS) return undefined;
  if (endMs <= nowMs) return fail(name, `${what} expired on ${day(endMs)}`, advice);
  const left = Math.ceil((endMs - nowMs) / DAY_MS);
  return warn(
    name,
    `${what} expires on ${day(endMs)}, in ${left === 1 ? '1 day' : `${left} days`} at most`,
    advice,
  );
}

export const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
