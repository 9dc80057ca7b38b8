/** Tries a module as its callers, its hosters and their deaths will: in real engine processes. */
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import { Bench } from './bench';
import { checkCommit } from './check-commit';
import { checkReplayedTogether, checkRunTogether, runAlone } from './check-leftovers';
import { checkReplay } from './check-replay';
import { checkCommands, checkSession, checkState, commandsOf } from './check-session';
import { checkStop } from './check-stop';
import * as several from './check-turns';
import type { EngineChild } from './engine-child';
import { givenFor } from './given';
import { recordSession } from './record-session';
import type { Recording } from './record-session';
import { count, failed, open, passed } from './report';
import type { Finding, ModuleTestReport } from './report';
import { Source } from './source';

export interface ModuleTestOptions {
  /** Default: the newest. */
  readonly version?: string;
  readonly variant?: string | undefined;
  /** How long the sessions of all checks may take together, about. Default 10. */
  readonly seconds?: number;
  /** Intra-op threads. Default 1. */
  readonly threads?: number;
  readonly onProgress?: (what: string) => void;
  readonly signal?: AbortSignal;
}

const SECONDS = 10;
/** Shares of the time: the first session, and each of the others, and of later turns. */
const FIRST = 0.4;
const OTHER = 0.15;

/**
 * Loads a module and runs sessions of it. Never rejects for what is wrong with the module's code: that is
 * the result.
 *
 * @param folder of the model
 * @throws CabstandError MANIFEST_INVALID for a manifest that is wrong, INVALID_ARGUMENT for no module.
 */
export async function testModule(
  folder: string,
  options: ModuleTestOptions = {},
): Promise<ModuleTestReport> {
  const begun = performance.now();
  const { seconds = SECONDS, threads = 1, onProgress = () => undefined, signal } = options;
  const manifest = await loadManifest(path.resolve(folder), options.version, {
    variant: options.variant,
  });
  const { module, name, version } = manifest;
  if (module === undefined)
    throw new CabstandError('INVALID_ARGUMENT', `${name} is no module: it is ${manifest.kind}`);
  const source = await Source.read(module.folder);
  const bench = new Bench({ manifest, source, seconds, threads, progress: onProgress, signal });
  const findings = await tryAll(bench, manifest);
  signal?.throwIfAborted();
  const ok = findings.every(({ outcome }) => outcome !== 'failed');
  const took = (performance.now() - begun) / 1000;
  return { name, version, survival: module.survival, findings, ok, seconds: took };
}

async function tryAll(bench: Bench, manifest: Manifest): Promise<Finding[]> {
  const findings: Finding[] = [];
  const broken = (): boolean => findings.some(({ outcome }) => outcome === 'failed');
  bench.progress('loading');
  let first: Awaited<ReturnType<Bench['engine']>>;
  try {
    first = await bench.engine();
  } catch (error) {
    return [loadFailed(error)];
  }
  const { engine, loaded } = first;
  const commands = loaded.module?.commands ?? [];
  const sent = commandsOf(commands);
  let recording: Recording;
  const turns: Recording[] = [];
  try {
    bench.progress('running a session');
    const ms = bench.seconds * 1000 * FIRST;
    // Commands are sent to it, and its end is not looked at: it goes on until its engine is killed.
    recording = await recordSession(engine, givenFor(manifest, 0), sent, ms);
    const memory =
      engine.rssBytes === 0 ? '' : `, ${Math.round(engine.rssBytes / 2 ** 20)} MiB with all of it`;
    const what = count(commands.length, 'command');
    findings.push(
      passed('load', `in ${(loaded.loadSeconds * 1000).toFixed(0)} ms${memory}; ${what}`),
      ...checkSession(bench, engine, recording),
      ...checkCommands(bench, engine, commands, recording),
      ...checkState(bench, engine, recording),
    );
    if (recording.trial.end?.reason !== 'error')
      findings.push(...(await checkStop(bench, engine, recording.given)));
    if (broken()) return findings;
    const msOfTurn = bench.seconds * 1000 * OTHER;
    for await (const turn of several.laterTurns(bench, recording, sent, msOfTurn)) {
      turns.push(turn);
      findings.push(...several.brokenTurn(bench, engine, commands, turn));
    }
  } finally {
    // In the middle of it, as a machine's death would.
    engine.kill();
  }
  // A session that fails is not worth being compared with another.
  if (broken()) return findings;
  findings.push(...(await tryOthers(bench, manifest, recording, turns)));
  return findings;
}

async function tryOthers(
  bench: Bench,
  manifest: Manifest,
  recording: Recording,
  turns: readonly Recording[],
): Promise<Finding[]> {
  const { engine } = await bench.engine();
  await using _ = engine;
  return manifest.module?.survival === 'replay'
    ? await tryReplays(bench, manifest, engine, [recording, ...turns])
    : await tryAgain(bench, manifest, engine, turns);
}

async function tryReplays(
  bench: Bench,
  manifest: Manifest,
  engine: EngineChild,
  [recording, ...turns]: readonly [Recording, ...Recording[]],
): Promise<Finding[]> {
  const findings = await checkReplay(bench, engine, recording);
  if (findings.some(({ outcome }) => outcome === 'failed')) return findings;
  findings.push(...(await several.checkReplayedTurns(bench, engine, turns)));
  // What is not the same alone says nothing of neighbours.
  if (findings.some(({ outcome }) => outcome === 'failed')) return findings;
  bench.progress('running another session');
  const ms = bench.seconds * 1000 * OTHER;
  const other = await recordSession(engine, givenFor(manifest, 1), [], ms);
  other.trial.close();
  return [
    ...findings,
    ...(await checkReplayedTogether(bench, engine, [recording, other, ...turns])),
  ];
}

/** Without replays: two sessions can be compared only where each is the same in a process of its own. */
async function tryAgain(
  bench: Bench,
  manifest: Manifest,
  engine: EngineChild,
  turns: readonly Recording[],
): Promise<Finding[]> {
  const ms = bench.seconds * 1000 * OTHER;
  bench.progress('running the session once more');
  const second = await bench.engine();
  let difference: string | undefined;
  let alone: Awaited<ReturnType<typeof runAlone>>;
  const findings: Finding[] = [];
  try {
    const run = (where: EngineChild): ReturnType<typeof runAlone> =>
      runAlone(bench, where, givenFor(manifest, 0), ms, turns.length > 0);
    const [one, again] = await Promise.all([run(engine), run(second.engine)]);
    difference = several.turnDifference(bench, one, again);
    alone = one;
    if (manifest.module?.survival === 'commit') {
      const [first, ...later] = one;
      const repeats = difference === undefined;
      findings.push(
        ...(await checkCommit(bench, first, repeats, second.engine)),
        ...(await several.checkCommittedTurns(bench, later, repeats)),
      );
    } else findings.push(...several.told(turns));
  } finally {
    second.engine.kill();
  }
  return [
    ...findings,
    ...(difference === undefined
      ? await checkRunTogether(bench, engine, alone, givenFor(manifest, 1), ms)
      : [
          open(
            'leftovers',
            `not compared: two sessions that are given the same differ by themselves, in ${difference}`,
          ),
        ]),
  ];
}

function loadFailed(error: unknown): Finding {
  const { message, metadata } = CabstandError.from(error);
  return failed(
    'load',
    message,
    metadata.problem === 'schema'
      ? 'Commands declare JSON Schema, or a schema of a library that has the interface of standardschema.dev.'
      : undefined,
  );
}
