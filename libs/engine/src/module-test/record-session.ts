/** Runs turns of a session as a caller would, and keeps what they gave, so that they can be compared with others. */
import type { RecordItem } from '../frames/module-frames';
import { RecordField } from '../frames/module-frames';
import type { SnapshotItem } from '../frames/types';
import { MOST_BYTES, MOST_RECORDS } from './bench';
import type { EngineChild } from './engine-child';
import { bodyOf } from './record-body';
import { Trial } from './trial';
import type { Given } from './trial';

/** A command that was sent, by its number. */
export interface Sent {
  readonly name: string;
  readonly arguments: unknown;
}

/** Of one turn. */
export interface Recording {
  readonly turn: number;
  /** Where the turn begins, if it is not the session's first one. */
  readonly start: SnapshotItem | undefined;
  readonly given: Given;
  readonly trial: Trial;
  readonly records: readonly RecordItem[];
  readonly snapshots: readonly SnapshotItem[];
  readonly sent: readonly (Sent & { readonly number: number })[];
}

/** A session that gives nothing for this long is looked at as it is. */
const QUIET_MS = 1000;
/** Between two commands. */
const APART_MS = 150;
const ANSWER_MS = 2000;
const SNAPSHOTS = 4;
/** Records from one to the next, at most. */
const STEP = 6;

/**
 * Runs a new session until it has made so many records, ends, gives nothing more, or its time is over.
 *
 * @param commands that are sent to it one after another
 * @param most records
 */
export async function recordSession(
  engine: EngineChild,
  given: Given,
  commands: readonly Sent[],
  ms: number,
  most = MOST_RECORDS,
): Promise<Recording> {
  const trial = new Trial(engine, given);
  trial.begin();
  return await recordTurn(trial, { given, start: undefined, commands, ms, most });
}

interface TurnPlan {
  readonly given: Given;
  readonly start: SnapshotItem | undefined;
  readonly commands: readonly Sent[];
  readonly ms: number;
  readonly most?: number;
}

/** As `recordSession` does, of a turn that has begun. */
export async function recordTurn(
  trial: Trial,
  { given, start, commands, ms, most = MOST_RECORDS }: TurnPlan,
): Promise<Recording> {
  const { turn, records, snapshots } = trial;
  const late = performance.now() + ms;
  const left = (): number => Math.max(0, late - performance.now());
  let granted = 0;
  // A few at a time: a session that is fast would be over before it was saved anywhere.
  const grantUpTo = (wanted: number): void => {
    const more = Math.min(wanted, most) - granted;
    if (more <= 0) return;
    granted += more;
    trial.grant(more, 0);
  };
  trial.grant(0, MOST_BYTES);
  const answered = new Set<number>();
  let looked = 0;
  const hasAnswer = (number: number): boolean => {
    for (; looked < records.length; looked += 1) {
      const record = records[looked];
      if (record?.field !== RecordField.result) continue;
      const body = bodyOf(record);
      if (body.kind === 'result' || body.kind === 'refused') answered.add(body.number);
    }
    return answered.has(number);
  };
  const sent: (Sent & { number: number })[] = [];
  for (const { name, arguments: args } of commands) {
    const wanted = records.length + 2;
    grantUpTo(wanted);
    await trial.until(() => records.length >= wanted, Math.min(APART_MS, left()));
    // A session that is over answers nothing, and need not.
    if (trial.over || records.length >= most) break;
    if (snapshots.length < SNAPSHOTS) trial.wantSnapshot();
    const number = trial.command(name, args);
    sent.push({ number, name, arguments: args });
    // It may be behind the next record that it is taken.
    grantUpTo(records.length + 4);
    await trial.until(() => hasAnswer(number), ANSWER_MS);
  }
  while (!trial.over && records.length < most && left() > 0) {
    const before = records.length;
    const saves = snapshots.length < 2 * SNAPSHOTS;
    if (saves) trial.wantSnapshot();
    const wanted = saves ? before + 1 + Math.floor(Math.random() * STEP) : most;
    grantUpTo(wanted);
    await trial.until(() => records.length >= wanted, Math.min(QUIET_MS, left()));
    if (records.length === before) break;
  }
  // What comes from here on is not looked at: a session that is told to stop does other things.
  return { turn, start, given, trial, records: [...records], snapshots: [...snapshots], sent };
}
