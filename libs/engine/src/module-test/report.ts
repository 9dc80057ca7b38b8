/** What a test of a module found. */

export type CheckName =
  'load' | 'session' | 'commands' | 'stop' | 'state' | 'replay' | 'commit' | 'turns' | 'leftovers';

export interface Finding {
  readonly check: CheckName;
  /** `open`: it passed or could not be tried, and the author should know of something. */
  readonly outcome: 'passed' | 'failed' | 'open';
  readonly summary: string;
  /** What to do. */
  readonly advice?: string;
}

export interface ModuleTestReport {
  readonly name: string;
  readonly version: string;
  readonly survival: string;
  readonly findings: readonly Finding[];
  /** None failed. */
  readonly ok: boolean;
  readonly seconds: number;
}

export function passed(check: CheckName, summary: string): Finding {
  return { check, outcome: 'passed', summary };
}

export function open(check: CheckName, summary: string, advice?: string): Finding {
  return { check, outcome: 'open', summary, ...(advice !== undefined && { advice }) };
}

export function failed(check: CheckName, summary: string, advice?: string): Finding {
  return { check, outcome: 'failed', summary, ...(advice !== undefined && { advice }) };
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
