import type { CliContext } from '../context';

const NAME_WIDTH = 10;

/** A line of a local subnet's report: who, and what happened. */
export function tell({ terminal }: CliContext, name: string, what: string): void {
  void terminal.out(`${terminal.style.cyan(name.padEnd(NAME_WIDTH))}${what}\n`);
}
