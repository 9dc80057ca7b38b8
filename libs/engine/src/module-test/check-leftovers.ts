/** Whether sessions side by side, or one after another, notice anything of each other. */
import type { Bench } from './bench';
import { Again, differs } from './check-replay';
import { laterTurns, turnDifference } from './check-turns';
import type { EngineChild } from './engine-child';
import { recordSession } from './record-session';
import type { Recording } from './record-session';
import { open, passed } from './report';
import type { Finding } from './report';
import type { Given } from './trial';

const ADVICE =
  'All sessions share the instance and the variables of the file: what belongs to one goes into ctx.state.';
const BATCHER = 'not compared: env.batcher() may give other numbers when sessions meet';

/** Sessions that were recorded are replayed in turns. @param engine where others ran before */
export async function checkReplayedTogether(
  bench: Bench,
  engine: EngineChild,
  recordings: readonly Recording[],
): Promise<Finding[]> {
  if (bench.source.usesBatcher) return [open('leftovers', BATCHER)];
  bench.progress('two sessions in turns');
  const differences: (string | undefined)[] = [];
  if (bench.manifest.sessions?.exclusive === true)
    for (const recording of recordings)
      differences.push(await new Again(bench, engine, recording).difference());
  else {
    const both = recordings.map((recording) => new Again(bench, engine, recording));
    differences.push(...(await Promise.all(both.map((again) => again.difference()))));
  }
  return verdict(bench, differences);
}

/** @param alone the turns of a session that was the first one of another process */
export async function checkRunTogether(
  bench: Bench,
  engine: EngineChild,
  alone: readonly [Recording, ...Recording[]],
  other: Given,
  ms: number,
): Promise<Finding[]> {
  if (bench.source.usesBatcher) return [open('leftovers', BATCHER)];
  bench.progress('two sessions in turns');
  const run = (given: Given): ReturnType<typeof runAlone> =>
    runAlone(bench, engine, given, ms, alone.length > 1);
  const [{ given }] = alone;
  const before = await run(other);
  const [again, beside] =
    bench.manifest.sessions?.exclusive === true
      ? [await run(given), await run(other)]
      : await Promise.all([run(given), run(other)]);
  const differences = [turnDifference(bench, alone, again), turnDifference(bench, before, beside)];
  return verdict(bench, differences);
}

/** A session without commands. @param several all its turns, not the first one alone */
export async function runAlone(
  bench: Bench,
  engine: EngineChild,
  given: Given,
  ms: number,
  several: boolean,
): Promise<[Recording, ...Recording[]]> {
  const first = await recordSession(engine, given, [], ms);
  const turns: [Recording, ...Recording[]] = [first];
  if (several) for await (const turn of laterTurns(bench, first, [], ms)) turns.push(turn);
  first.trial.close();
  return turns;
}

function verdict(bench: Bench, differences: readonly (string | undefined)[]): Finding[] {
  const found = differences.find((difference) => difference !== undefined);
  if (found === undefined)
    return [passed('leftovers', 'two sessions in turns are the same as each alone')];
  const summary = `a session among others is not the same as alone: ${found}`;
  return [differs('leftovers', summary, bench.source.kept, ADVICE)];
}
