/** Records a session of a module, and runs what was recorded against the code as it is now. */
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest, resolveParameters } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import { Bench, MOST_BYTES } from './bench';
import { nameOf, texts } from './difference';
import type { EngineChild } from './engine-child';
import { givenFor } from './given';
import { recordSession } from './record-session';
import type { Sent } from './record-session';
import { Source } from './source';
import { entriesOfTold, toldOf } from './transcript';
import type { Told, Transcript } from './transcript';
import { Trial } from './trial';

export interface RecordOptions extends ReplayOptions {
  readonly prompt?: string | undefined;
  /** Default: those of the manifest. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly seed?: number | undefined;
  /** Sent one after another. */
  readonly commands?: readonly Sent[];
  /** How many are recorded at most. Default 120. */
  readonly records?: number;
  /** Default 10. */
  readonly seconds?: number;
}

export interface ReplayOptions {
  readonly variant?: string | undefined;
  readonly signal?: AbortSignal;
}

/** The first record that is another one. */
interface OtherRecord {
  /** Of the record, from 0. */
  readonly record: number;
  /** Of the author's call, from 0. */
  readonly call: number;
  readonly what: string;
  /** `index.ts:31:15`; undefined where it is not known. */
  readonly where: string | undefined;
}

export interface ReplayReport {
  readonly name: string;
  readonly version: string;
  readonly digest: string;
  /** Records that are the same, from the first one. */
  readonly same: number;
  readonly difference: OtherRecord | undefined;
}

/** A replay waits for nothing; this is for what is computed in it. */
const REPLAY_MS = 60_000;
const PLACE_MS = 5000;

/**
 * @param folder of the model
 * @throws CabstandError MANIFEST_INVALID, INVALID_ARGUMENT for a module whose sessions are not the same twice,
 *   and why it cannot be loaded, or its session failed
 */
export async function recordModule(folder: string, options: RecordOptions): Promise<Transcript> {
  const { bench, manifest } = await benchOf(folder, options);
  const { name: model, version, digest } = manifest;
  const made = givenFor(manifest, 0);
  const given = {
    ...made,
    prompt: options.prompt ?? made.prompt,
    seed: options.seed ?? made.seed,
    parameters: resolveParameters(manifest.parameters, options.parameters ?? {}),
  };
  const { engine } = await bench.engine();
  try {
    const { records, trial } = await recordSession(
      ...([engine, given, options.commands ?? [], bench.seconds * 1000, options.records] as const),
    );
    if (trial.gone !== undefined || trial.end?.reason === 'error')
      throw new CabstandError('MODULE_FAILED', bench.why(trial, engine));
    return { model, version, digest, given, records: records.map(toldOf) };
  } finally {
    engine.kill();
  }
}

/** Throws as `recordModule` does; a session that fails or differs is the result. */
export async function replayModule(
  transcript: Transcript,
  folder: string,
  options: ReplayOptions,
): Promise<ReplayReport> {
  const { bench, manifest } = await benchOf(folder, options);
  const { name, version, digest } = manifest;
  const { engine } = await bench.engine();
  try {
    const { length } = transcript.records;
    const { told, why } = await runAgain(bench, engine, transcript, length, REPLAY_MS);
    const difference =
      firstOther(transcript.records, told, bench.comparesFloats) ??
      (told.length < length
        ? other(transcript.records, told.length, why ?? 'it gave nothing more')
        : undefined);
    if (difference === undefined)
      return { name, version, digest, same: told.length, difference: undefined };
    // Once more, up to this record: there the runtime finds it, within the author's call.
    const { where } = await runAgain(bench, engine, transcript, difference.record + 1);
    return { name, version, digest, same: difference.record, difference: { ...difference, where } };
  } finally {
    engine.kill();
  }
}

async function benchOf(
  folder: string,
  { variant, signal, seconds = 10 }: RecordOptions,
): Promise<{ bench: Bench; manifest: Manifest }> {
  const manifest = await loadManifest(path.resolve(folder), undefined, { variant });
  const { module, name } = manifest;
  if (module?.survival !== 'replay')
    throw new CabstandError(
      'INVALID_ARGUMENT',
      `${name} does not declare \`survival: replay\`: its sessions need not do the same twice`,
      { metadata: { field: 'survival', expected: 'replay' } },
    );
  const source = await Source.read(module.folder);
  const progress = (): void => undefined;
  return {
    bench: new Bench({ manifest, source, seconds, threads: 1, progress, signal }),
    manifest,
  };
}

/**
 * Runs the first records of a transcript again. `why` it came to an end, and `where`.
 *
 * @param ms how long they may take; undefined: something is wrong with the last of them, and the end is waited for
 */
async function runAgain(
  bench: Bench,
  engine: EngineChild,
  { given, records }: Transcript,
  wanted: number,
  ms?: number,
): Promise<{ told: Told[]; why: string | undefined; where: string | undefined }> {
  const known = records.slice(0, wanted);
  const trial = new Trial(engine, given);
  const chain = known.at(-1)?.chain ?? 0;
  trial.begin({ replay: { entries: entriesOfTold(known), records: wanted, chain } });
  trial.grant(1, MOST_BYTES);
  const done = (): boolean => ms !== undefined && trial.records.length >= wanted;
  await trial.until(done, ms ?? PLACE_MS);
  const why = trial.over ? bench.why(trial, engine) : undefined;
  const [, where, message = why] = /^([^\s:]+:\d+:\d+): (.*)$/s.exec(why ?? '') ?? [];
  const told = trial.records.slice(0, wanted).map(toldOf);
  trial.close();
  return { told, why: /\(([^()]*)\): what is not/.exec(message ?? '')?.[1] ?? message, where };
}

function firstOther(
  first: readonly Told[],
  again: readonly Told[],
  floats: boolean,
): Omit<OtherRecord, 'where'> | undefined {
  for (const [index, now] of again.entries()) {
    const before = first[index];
    const what = before && otherThan(before, now, floats);
    if (what !== undefined) return other(first, index, what);
  }
  return undefined;
}

const other = (records: readonly Told[], record: number, what: string) => ({
  ...{ record, call: records[record]?.point ?? 0, what },
});

function otherThan(before: Told, now: Told, floats: boolean): string | undefined {
  if (before.kind !== now.kind)
    return `${nameOf(before)} the first time, ${nameOf(now)} the second`;
  if (before.kind !== 'frame' || now.kind !== 'frame') {
    return texts(nameOf(before), contentOf(before), contentOf(now));
  }
  const names = new Set([...before.outputs, ...now.outputs].map(({ name }) => name));
  for (const name of names) {
    const [then, today] = [before, now].map(({ outputs }) =>
      outputs.find((output) => output.name === name),
    );
    const [shape, other] = [then, today].map((one) =>
      one === undefined ? 'not there' : `${one.dtype} [${one.shape.join(', ')}]`,
    );
    if (shape !== other) return `output ${name}: ${shape} the first time, ${other} the second`;
    const counts = floats || then?.dtype.includes('float') !== true;
    if (counts && then?.sha256 !== today?.sha256) return `output ${name} ${shape}: other elements`;
  }
  return texts('text', before.text, now.text);
}

/** Without where it was made. */
function contentOf(record: Told): string {
  const { point: _, chain: __, ...content } = record;
  return JSON.stringify(content);
}
