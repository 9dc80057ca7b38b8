import type { ReplayReport } from '@cabstand/engine';
import { printable } from './style';
import type { Style } from './style';

/** What became of a recorded session in the code of now, for people. */
export function moduleReplayText(
  { name, version, digest, same, difference }: ReplayReport,
  recorded: {
    readonly version: string;
    readonly digest: string;
    readonly records: readonly object[];
  },
  style: Style,
): string {
  const code = digest === recorded.digest ? 'the same code' : `code of v${recorded.version}`;
  const head = `${style.bold(printable(name))} v${version}, against a session of ${code}\n`;
  if (difference === undefined)
    return `${head}${style.green(`all ${same} records are the same`)}\n`;
  const { record, call, what, where } = difference;
  const place = where === undefined ? '' : `${printable(where)}: `;
  return [
    head,
    `${style.red(`record ${record} of ${recorded.records.length} is another one`)} (call ${call} of ctx)\n`,
    `  ${place}${printable(what)}\n`,
  ].join('');
}
