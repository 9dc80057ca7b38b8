/** `survival: commit`: whenever its engine dies, a session goes on at its last checkpoint as one lineage. */
import type { RecordItem } from '../frames/module-frames';
import type { Bench } from './bench';
import { MOST_BYTES, MOST_RECORDS } from './bench';
import type { EngineChild } from './engine-child';
import { CHECKPOINT_ADVICE, differs } from './check-replay';
import { firstDifference } from './difference';
import { bodyOf } from './record-body';
import type { Recording } from './record-session';
import { count, failed, open, passed } from './report';
import type { Finding } from './report';
import { Trial, recordsAt } from './trial';

const KILLS = 2;
const LIFE_MS = 2000;

/**
 * @param alone a turn that was left alone, without commands
 * @param repeats a second one gave the same: it can be compared
 * @param first the engine that is killed first; others are started
 */
export async function checkCommit(
  bench: Bench,
  alone: Recording,
  repeats: boolean,
  first?: EngineChild,
): Promise<Finding[]> {
  const wanted = alone.records.length;
  if (wanted === 0) return [open('commit', 'not tried: there is no record')];
  let records: RecordItem[] = [];
  let snapshot = alone.start;
  for (let life = 0; life <= KILLS; life += 1) {
    const from = recordsAt(snapshot);
    const last = life === KILLS;
    bench.progress(last ? 'going on to the end' : `killing its engine, ${life + 1} of ${KILLS}`);
    const engine = (life === 0 ? first : undefined) ?? (await bench.engine()).engine;
    const trial = new Trial(engine, alone.given);
    trial.begin({ snapshot });
    trial.grant(Math.max(1, MOST_RECORDS - from), MOST_BYTES);
    const upTo = last ? wanted : from + 1 + Math.floor(Math.random() * ((wanted - from) / 2));
    await trial.until(() => from + trial.records.length >= upTo, LIFE_MS);
    const why = trial.gone !== undefined || trial.end?.reason === 'error';
    const told = why ? bench.why(trial, engine) : '';
    engine.kill();
    if (why)
      return [
        failed(
          'commit',
          `gone on from ${from === 0 ? 'its beginning' : `record ${from}`}, it failed: ${told}`,
          CHECKPOINT_ADVICE,
        ),
      ];
    const kept = last ? undefined : trial.snapshots.at(-1);
    const found = repeats
      ? firstDifference(
          alone.records,
          trial.records.slice(0, wanted - from),
          from,
          bench.comparesFloats,
        )
      : undefined;
    if (found !== undefined)
      return [
        differs(
          'commit',
          `gone on from ${from === 0 ? 'its beginning' : `the checkpoint after record ${from}`} it is not the session that it was: record ${found.record}: ${found.what}`,
          bench.source.local,
          CHECKPOINT_ADVICE,
        ),
      ];
    records = [...records.slice(0, from), ...trial.records];
    if (kept !== undefined) snapshot = kept;
  }
  if (!partsFollow(records))
    return [failed('commit', 'parts of the live input were taken twice, or not at all')];
  const compared = repeats
    ? 'and all is as in a session left alone'
    : 'as one lineage; its content differs from session to session and was not compared';
  return [
    passed(
      'commit',
      `its engine was killed twice: ${count(records.length, 'record')}, the last checkpoint after ${recordsAt(snapshot)}, ${compared}`,
    ),
  ];
}

function partsFollow(records: readonly RecordItem[]): boolean {
  const bodies = records.map((record) => (record.field === 6 ? bodyOf(record) : undefined));
  const parts = bodies.flatMap((body) => (body?.kind === 'part' ? [body.part] : []));
  return parts.every((part, index) => part === index);
}
