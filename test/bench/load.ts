import { loadavg } from 'node:os';

/** Processes that want a core, on average over the last minute: says what a figure is worth. */
export function load(): number {
  return loadavg()[0] ?? NaN;
}
