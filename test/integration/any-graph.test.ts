/**
 * Whatever the graph: what eight callers at once are served is what ONNX Runtime answers each alone, and
 * a graph whose rows change one another is run unbatched. CABSTAND_RUNS graphs (default 200) from
 * CABSTAND_SEED on (default 1); a graph that fails is made again by its own seed and one run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { difference, openAlone } from '../support/graphs/alone';
import type { Limits } from '../support/graphs/alone';
import { anyGraph } from '../support/graphs/any-graph';
import type { AnyGraph } from '../support/graphs/any-graph';
import { callersOf } from '../support/graphs/callers';
import type { Caller } from '../support/graphs/callers';
import { MOST_ROWS, answersAlone, measuredLeak } from '../support/graphs/measure';
import type { Answer } from '../support/graphs/measure';
import { writeModel } from '../support/graphs/write-model';
import { InProcessModel } from './loaded-model';
import type { Got, Served } from './loaded-model';

const RUNS = Number(process.env['CABSTAND_RUNS'] ?? 200);
const SEED = Number(process.env['CABSTAND_SEED'] ?? 1);
const CALLERS = 8;
/** Of the graphs: how many ONNX Runtime may refuse, and how few may run batched. */
const MOST_REFUSED = 0.05;
const FEWEST_BATCHED = 0.25;

jest.setTimeout(60_000 + RUNS * 4000);

const counts = new Map<string, number>();
const failures: string[] = [];
let jointRuns = 0;

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

test(`${RUNS} graphs from seed ${SEED} on`, async () => {
  const repository = mkdtempSync(path.join(tmpdir(), 'cabstand-graphs-'));
  try {
    for (let seed = SEED; seed < SEED + RUNS; seed += 1) {
      const graph = anyGraph(seed);
      const fault = await faultOf(graph, path.join(repository, `graph-${seed}`));
      if (fault !== undefined)
        failures.push(`CABSTAND_SEED=${seed} CABSTAND_RUNS=1: ${fault} (${graph.operators})`);
    }
  } finally {
    rmSync(repository, { recursive: true });
  }
  const lines = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  process.stdout.write(
    `${RUNS} graphs from seed ${SEED} on, ${jointRuns} runs that several callers shared\n` +
      lines.map(([what, times]) => `${String(times).padStart(6)} ${what}\n`).join(''),
  );
  expect(failures).toEqual([]);
  if (RUNS < 100) return;
  const total = (prefix: RegExp): number =>
    lines.reduce((sum, [what, times]) => sum + (prefix.test(what) ? times : 0), 0);
  expect(total(/^refused by ONNX Runtime/)).toBeLessThan(MOST_REFUSED * RUNS);
  expect(total(/^batched/)).toBeGreaterThan(FEWEST_BATCHED * RUNS);
  // Kernels that do not leave rows alone, though they should, are rare.
  expect(total(/^unbatched, does not leak .*(neighbours|failed)/)).toBeLessThan(0.02 * RUNS);
  // Several for each that is batched, or nothing was shown.
  expect(jointRuns).toBeGreaterThan(total(/^batched/));
});

/** What is wrong with how a graph is served. */
async function faultOf(graph: AnyGraph, folder: string): Promise<string | undefined> {
  const alone = await openAlone(graph.file).catch((error: unknown) => messageOf(error));
  if (typeof alone === 'string') {
    count('refused by ONNX Runtime at load');
    return undefined;
  }
  const callers = callersOf(graph, CALLERS);
  const answers = await answersAlone(alone, callers);
  if (answers.every((answer) => typeof answer === 'string')) {
    count('refused by ONNX Runtime, all inputs');
    return undefined;
  }
  const written = writeModel(folder, graph);
  let model: InProcessModel;
  try {
    model = await InProcessModel.load(folder, MOST_ROWS);
  } catch (error) {
    return `not loaded (${written}): ${messageOf(error)}`;
  }
  const { loaded, manifest } = model;
  const served = await model.serve(callers.map(({ inputs }) => inputs));
  jointRuns += served.jointRuns;
  const { atol, rtol } = manifest.golden;
  const measured = await measuredLeak(graph, alone, callers, answers, { atol, rtol });
  await alone.release();
  await model.release();
  const leak = measured ?? graph.leak;
  if (loaded.batchClass !== 'unbatched') {
    count(`batched, ${loaded.batchClass} (${written})`);
    if (leak !== undefined) return `${loaded.batchClass}, but it leaks: ${leak}`;
    if (served.splits > 0) return `${served.splits} joint runs failed`;
  } else {
    const leaks = leak === undefined ? 'does not leak' : 'leaks';
    count(`unbatched, ${leaks} (${written}): ${kindOf(loaded.unbatchedBecause)}`);
    if (loaded.unbatchedBecause === '') return 'unbatched for no reason';
    if (served.jointRuns > 0) return 'unbatched, but callers shared a run';
  }
  const limits = loaded.batchClass === 'tolerance' ? { atol, rtol } : undefined;
  return wrongAnswer(callers, answers, served, limits);
}

function wrongAnswer(
  callers: readonly Caller[],
  answers: readonly Answer[],
  { got }: Served,
  limits: Limits | undefined,
): string | undefined {
  for (const index of callers.keys()) {
    const why = unlike(got[index] as Got, answers[index] as Answer, limits);
    if (why !== undefined) return `caller ${index}: ${why}`;
  }
  return undefined;
}

/** Refused alone is refused in company, and nothing else is. */
function unlike(got: Got, answer: Answer, limits: Limits | undefined): string | undefined {
  if (typeof answer === 'string')
    return typeof got === 'string' ? undefined : `a record, alone: ${answer}`;
  if (typeof got === 'string') return `no record: ${got}`;
  const wrong = answer.map((tensor: Tensor) => difference(got.get(tensor.name), tensor, limits));
  return wrong.find((why) => why !== undefined);
}

/** A reason without what is of one graph only. */
function kindOf(reason: string): string {
  return (reason.split(':')[0] ?? '')
    .replace(/\b(output|graph) \S+/g, '$1')
    .replace(/\d+/g, 'some');
}

function messageOf(error: unknown): string {
  return CabstandError.from(error).message;
}
