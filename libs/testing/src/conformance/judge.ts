import type { ConformanceCase, ExpectedTurn } from './cases';

/** One line of what a client tells: a record, or how a turn ended. */
export type Report =
  | {
      readonly turn: number;
      readonly position: number;
      readonly text?: string;
      /** Elements of output `x`. */
      readonly values?: readonly number[];
    }
  | { readonly turn: number; readonly end: string }
  | { readonly turn: number; readonly error: string };

/** What the subnet saw. */
export interface Seen {
  readonly taken: number;
  readonly open: number;
}

/** Problems in plain words; none: the client did what it must. */
export function judge({ then }: ConformanceCase, reports: readonly Report[], seen: Seen): string[] {
  const problems: string[] = [];
  const must = (what: string, got: unknown, expected: unknown): void => {
    const [a = 'nothing', b = 'nothing'] = [got, expected].map(
      (one) => JSON.stringify(one) as string | undefined,
    );
    if (a !== b) problems.push(`${what}: got ${a}, expected ${b}`);
  };
  let newest = -1;
  for (const report of reports) {
    if (!('position' in report)) continue;
    if (report.position <= newest)
      problems.push(`position ${report.position} came behind position ${newest}`);
    newest = Math.max(newest, report.position);
  }
  then.turns.forEach((turn, number) => {
    const of = reports.filter((report) => report.turn === number);
    judgeTurn(turn, of, (what, ...rest) => must(`turn ${number}: ${what}`, ...rest));
  });
  const extra = reports.find(({ turn }) => turn >= then.turns.length);
  if (extra !== undefined) problems.push(`turn ${extra.turn} was not asked for`);
  if (then.taken !== undefined) must('turns that hosters began', seen.taken, then.taken);
  // One that was moved away from a hoster that stood still may end there later, by itself.
  if (seen.open > (then.left ?? 0)) must('sessions left open', seen.open, then.left ?? 0);
  return problems;
}

function judgeTurn(
  { texts, values, count, error }: ExpectedTurn,
  reports: readonly Report[],
  must: (what: string, got: unknown, expected: unknown) => void,
): void {
  const records = reports.flatMap((report) => ('position' in report ? [report] : []));
  if (texts !== undefined)
    must(
      'texts',
      records.map(({ text }) => text ?? ''),
      texts,
    );
  if (values !== undefined)
    must(
      'values',
      records.flatMap((record) => record.values ?? []),
      values,
    );
  if (count !== undefined) must('records', records.length, count);
  const [ending, ...more] = reports.filter((report) => !('position' in report));
  must('endings behind the first', more.length, 0);
  must(
    'how it ended',
    ending &&
      ('end' in ending ? { end: ending.end } : 'error' in ending && { error: ending.error }),
    error === undefined ? { end: 'completed' } : { error },
  );
}
