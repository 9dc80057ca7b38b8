/** `survival: replay`: a session that is given the same once more does the same, wherever it begins again. */
import type { SnapshotItem } from '../frames/types';
import type { Bench } from './bench';
import { MOST_BYTES } from './bench';
import { firstDifference } from './difference';
import type { EngineChild } from './engine-child';
import { entriesOf } from './record-body';
import type { Recording } from './record-session';
import { count, failed, open, passed } from './report';
import type { CheckName, Finding } from './report';
import type { Cause } from './source';
import { Trial, recordsAt } from './trial';

/** A replay waits for nothing; this is for what is computed in it. */
const REPLAY_MS = 20_000;

/** A turn that was recorded, begun once more; compared when it has come as far. */
export class Again {
  readonly #bench: Bench;
  readonly #engine: EngineChild;
  readonly #recording: Recording;
  readonly #from: number;
  readonly #trial: Trial;

  /** @param snapshot where it begins, if not where the turn did */
  constructor(
    bench: Bench,
    engine: EngineChild,
    recording: Recording,
    snapshot: SnapshotItem | undefined = recording.start,
  ) {
    this.#bench = bench;
    this.#engine = engine;
    this.#recording = recording;
    this.#from = recordsAt(snapshot);
    const { records, given } = recording;
    this.#trial = new Trial(engine, given);
    const entries = entriesOf(records.slice(this.#from));
    const chain = records.at(-1)?.chain ?? 0;
    this.#trial.begin({ snapshot, replay: { entries, records: records.length, chain } });
    this.#trial.grant(1, MOST_BYTES);
  }

  /** What was not the same; undefined where all was. */
  async difference(): Promise<string | undefined> {
    const { records } = this.#recording;
    const trial = this.#trial;
    const wanted = records.length - this.#from;
    const done = (): boolean => trial.records.length >= wanted;
    const complete = await trial.until(done, REPLAY_MS);
    // Of all that is the same before the difference nothing is said.
    const found = firstDifference(
      records,
      trial.records.slice(0, wanted),
      this.#from,
      this.#bench.comparesFloats,
    );
    const why = trial.over && !complete ? this.#bench.why(trial, this.#engine) : undefined;
    trial.close();
    if (found !== undefined)
      return `record ${found.record} (call ${found.call} of ctx): ${found.what}`;
    const at = `after record ${this.#from + trial.records.length}`;
    if (why !== undefined) return `${at}: ${/\(([^()]*)\): what is not/.exec(why)?.[1] ?? why}`;
    return complete ? undefined : `${at} it gave nothing more`;
  }
}

/** In a process where nothing of the module has run yet. */
export async function checkReplay(
  bench: Bench,
  engine: EngineChild,
  recording: Recording,
): Promise<Finding[]> {
  const { records, snapshots } = recording;
  if (records.length === 0) return [open('replay', 'not tried: there is no record')];
  bench.progress('replaying from the start');
  const whole = await new Again(bench, engine, recording).difference();
  if (whole !== undefined)
    return [
      differs(
        'replay',
        `a second run is not the same: ${whole}`,
        bench.source.chance,
        CHANCE_ADVICE,
      ),
    ];
  for (const snapshot of snapshots) {
    bench.progress(`replaying from record ${snapshot.records}`);
    const rest = await new Again(bench, engine, recording, snapshot).difference();
    if (rest !== undefined)
      return [
        differs(
          'replay',
          `a session that goes on from the checkpoint after record ${snapshot.records} is not the same: ${rest}`,
          bench.source.local,
          CHECKPOINT_ADVICE,
        ),
      ];
  }
  return [
    passed(
      'replay',
      `its engine was killed; ${count(records.length, 'record')} are the same in a second one, and from ${count(snapshots.length, 'checkpoint')}`,
    ),
  ];
}

const CHANCE_ADVICE =
  'What is not the same in a second run belongs into ctx.random() or await ctx.record(name, () => …).';
export const CHECKPOINT_ADVICE =
  'From a checkpoint on ctx.state alone has to say how to go on: keep in it what is carried from round to round.';

/** @param cause what the author's code says of it, if anything */
export function differs(
  check: CheckName,
  summary: string,
  cause: Cause | undefined,
  otherwise: string,
): Finding {
  if (cause === undefined) return failed(check, summary, otherwise);
  const { where, what, instead } = cause;
  return failed(check, summary, `Likely ${what} in ${where}: use ${instead} instead. ${otherwise}`);
}
