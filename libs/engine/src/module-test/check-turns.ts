/** Whether a session that takes several turns is the same wherever it goes on: between them, and within the later ones. */
import type { Bench } from './bench';
import { checkCommit } from './check-commit';
import { Again, differs } from './check-replay';
import { brokenSession, checkCommands } from './check-session';
import { firstDifference } from './difference';
import type { EngineChild } from './engine-child';
import { givenFor } from './given';
import { recordTurn } from './record-session';
import type { Recording, Sent } from './record-session';
import { count, failed, open, passed } from './report';
import type { Finding } from './report';
import type { Trial } from './trial';

/** Of a session, the first one included. */
const TURNS = 3;
/** Beyond the grace, for a machine that is busy. */
const BEYOND_MS = 3000;

const ADVICE =
  'ctx.nextTurn() is a checkpoint: keep in ctx.state what is carried from turn to turn, and take what is not the same in a second run from ctx.random() or await ctx.record(name, () => …).';

/** The turns behind a first one, as long as the code asks for more. One that still runs is cancelled. */
export async function* laterTurns(
  bench: Bench,
  { trial }: Recording,
  commands: readonly Sent[],
  ms: number,
): AsyncGenerator<Recording> {
  for (let turn = 1; turn < TURNS && (await goesOn(bench, trial)); turn += 1) {
    bench.progress(`running turn ${turn}`);
    const { last: start } = trial;
    const given = givenFor(bench.manifest, turn);
    trial.next(given);
    yield await recordTurn(trial, { given, start, commands, ms });
  }
}

async function goesOn({ graceMs }: Bench, trial: Trial): Promise<boolean> {
  if (!trial.over) trial.stop(graceMs);
  await trial.until(() => trial.end !== undefined, graceMs + BEYOND_MS);
  return trial.end !== undefined && trial.end.reason !== 'error' && trial.end.goesOn === true;
}

/** What is wrong with a later turn by itself. To be asked before the next one begins. */
export function brokenTurn(
  bench: Bench,
  engine: EngineChild,
  described: Parameters<typeof checkCommands>[2],
  recording: Recording,
): Finding[] {
  const { trial, turn } = recording;
  const broken =
    trial.gone !== undefined || trial.end?.reason === 'error'
      ? [brokenSession(bench, engine, recording)]
      : checkCommands(bench, engine, described, recording);
  return broken.flatMap((finding) => (finding.outcome === 'failed' ? ofTurn(turn, finding) : []));
}

function ofTurn(turn: number, { summary, advice }: Finding): Finding {
  return failed('turns', `turn ${turn}: ${summary}`, advice);
}

/** `survival: replay`. @param engine in which nothing of these turns has run */
export async function checkReplayedTurns(
  bench: Bench,
  engine: EngineChild,
  turns: readonly Recording[],
): Promise<Finding[]> {
  const { chance, local } = bench.source;
  for (const recording of turns) {
    const { turn, start, snapshots } = recording;
    if (start === undefined) return [open('turns', `turn ${turn} has no checkpoint to begin at`)];
    for (const snapshot of [start, ...snapshots]) {
      const where = snapshot.ended ? 'at its beginning' : `after record ${snapshot.records}`;
      bench.progress(`replaying turn ${turn}, ${where}`);
      const difference = await new Again(bench, engine, recording, snapshot).difference();
      if (difference === undefined) continue;
      const summary = `turn ${turn}: gone on from the checkpoint ${where} it is not the same: ${difference}`;
      return [differs('turns', summary, chance ?? local, ADVICE)];
    }
  }
  const points = turns.reduce((sum, { snapshots }) => sum + snapshots.length, 0);
  return told(
    turns,
    `the same in a second engine, from between the turns and from ${count(points, 'checkpoint')} within`,
  );
}

/** `survival: commit`. @param repeats see `checkCommit` */
export async function checkCommittedTurns(
  bench: Bench,
  turns: readonly Recording[],
  repeats: boolean,
): Promise<Finding[]> {
  for (const recording of turns) {
    const findings = await checkCommit(bench, recording, repeats);
    const found = findings.find(({ outcome }) => outcome === 'failed');
    if (found !== undefined)
      return [{ ...ofTurn(recording.turn, found), advice: `${found.advice ?? ''} ${ADVICE}` }];
  }
  return told(turns, 'its engine was killed between the turns and twice within each');
}

/** @param how undefined: a session is lost with its engine */
export function told(turns: readonly Recording[], how?: string): Finding[] {
  if (turns.length === 0) return [];
  const records = turns.reduce((sum, recording) => sum + recording.records.length, 0);
  const many = `${turns.length + 1} turns, ${count(records, 'record')} in the later ones`;
  return [passed('turns', how === undefined ? many : `${many}: ${how}`)];
}

/** The first place where two sessions are not the same, turn by turn. */
export function turnDifference(
  bench: Bench,
  first: readonly Recording[],
  second: readonly Recording[],
): string | undefined {
  for (const [turn, { records }] of first.entries()) {
    const again = second[turn]?.records ?? [];
    const found = firstDifference(records, again, 0, bench.comparesFloats);
    if (found !== undefined)
      return `${turn === 0 ? '' : `turn ${turn}, `}record ${found.record}: ${found.what}`;
  }
  return undefined;
}
