import { cpus } from 'node:os';

/** One line of a benchmark's result. */
export interface Row {
  readonly what: string;
  readonly value: string;
  /** What is asked for, if anything, and whether it was reached. */
  readonly target?: { readonly text: string; readonly met: boolean };
}

export function heading(text: string, setting?: string): void {
  console.log(`\n${text}`);
  if (setting !== undefined) console.log(`  ${setting}`);
}

export function print(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, value, target } of rows) {
    const verdict =
      target === undefined ? '' : `   ${target.text}: ${target.met ? 'met' : 'NOT MET'}`;
    console.log(`  ${what.padEnd(width)}  ${value}${verdict}`);
  }
}

export function machine(): string {
  const all = cpus();
  return `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}, Node ${process.versions.node}`;
}
