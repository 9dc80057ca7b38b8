/** Severities, the least first. */
export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export type Level = (typeof LEVELS)[number];

/** A line of a log: one that a service wrote, or any other. */
export type LogLine =
  | {
      readonly kind: 'record';
      /** As it was read. */
      readonly line: string;
      /** What stands before the object: Docker Compose puts the name of the container there. */
      readonly lead: string;
      readonly json: string;
      readonly facts: Readonly<Record<string, unknown>>;
      readonly level: Level;
      /** Milliseconds since the epoch; undefined where it says none. */
      readonly timeMs: number | undefined;
      /** Of the service. */
      readonly name: string;
    }
  | { readonly kind: 'other'; readonly line: string };

/** An object has to begin within so many characters. */
const LONGEST_LEAD = 200;

export function parseLine(line: string): LogLine {
  const at = line.indexOf('{');
  const json = line.slice(at).trimEnd();
  if (at < 0 || at > LONGEST_LEAD || !json.endsWith('}')) return { kind: 'other', line };
  const facts = objectOf(json);
  const level = LEVELS.find((one) => one === facts?.['level']);
  if (facts === undefined || level === undefined) return { kind: 'other', line };
  const { time, name } = facts;
  const timeMs = typeof time === 'string' ? Date.parse(time) : NaN;
  return {
    ...{ kind: 'record', line, json, facts, level },
    lead: line.slice(0, at),
    timeMs: Number.isNaN(timeMs) ? undefined : timeMs,
    name: typeof name === 'string' ? name : '',
  };
}

function objectOf(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
