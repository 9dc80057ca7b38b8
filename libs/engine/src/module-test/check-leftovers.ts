/** Whether sessions side by side, or one after another, notice anything of each other. */
import type { Bench } from './bench';
import { Again, differs } from './check-replay';
import { firstDifference } from './difference';
import type { EngineChild } from './engine-child';
import { recordSession } from './record-session';
import type { Recording } from './record-session';
import { open, passed } from './report';
import type { Finding } from './report';
import type { Given } from './trial';

const ADVICE =
  'All sessions share the instance and the variables of the file: what belongs to one goes into ctx.state.';
const BATCHER = 'not compared: env.batcher() may give other numbers when sessions meet';

/** Two sessions that were recorded are replayed in turns. @param engine where others ran before */
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

/** @param alone a session as the first one of another process */
export async function checkRunTogether(
  bench: Bench,
  engine: EngineChild,
  alone: Recording,
  other: Given,
  ms: number,
): Promise<Finding[]> {
  if (bench.source.usesBatcher) return [open('leftovers', BATCHER)];
  bench.progress('two sessions in turns');
  const run = (given: Given): Promise<Recording> => recordSession(engine, given, [], ms);
  const before = await run(other);
  before.trial.close();
  const [again, beside] =
    bench.manifest.sessions?.exclusive === true
      ? [await run(alone.given), await run(other)]
      : await Promise.all([run(alone.given), run(other)]);
  const compare = (first: Recording, second: Recording): string | undefined => {
    const found = firstDifference(first.records, second.records, 0, bench.comparesFloats);
    return found === undefined ? undefined : `record ${found.record}: ${found.what}`;
  };
  const differences = [compare(alone, again), compare(before, beside)];
  for (const { trial } of [again, beside]) trial.close();
  return verdict(bench, differences);
}

function verdict(bench: Bench, differences: readonly (string | undefined)[]): Finding[] {
  const found = differences.find((difference) => difference !== undefined);
  if (found === undefined)
    return [passed('leftovers', 'two sessions in turns are the same as each alone')];
  const summary = `a session among others is not the same as alone: ${found}`;
  return [differs('leftovers', summary, bench.source.kept, ADVICE)];
}
