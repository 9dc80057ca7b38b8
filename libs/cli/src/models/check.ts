import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { checkModel } from '@cabstand/engine';
import type { AuditResult, LoadedFrame, ProviderCheck } from '@cabstand/engine';
import { loadManifest } from '@cabstand/model';
import type { Manifest, ModelEntry } from '@cabstand/model';
import { goldenAdvice } from '../advice';
import { recordedTurns } from './recorded';
import { findModels } from '../served/find';
import type { Found } from '../served/find';
import { asFound, makeRepository } from '../served/repository';

/** What a hoster would find of one model. */
export type ModelReport =
  | {
      readonly ok: true;
      readonly name: string;
      readonly manifest: Manifest;
      readonly loaded: LoadedFrame;
      /** Of the recorded inputs, where there were some. */
      readonly audit: AuditResult | undefined;
      /** The manifest's other providers. */
      readonly others: readonly ProviderCheck[];
      readonly seconds: number;
    }
  | {
      readonly ok: false;
      readonly name: string;
      readonly reason: string;
      /** Everything that is wrong, each with its file, key, value and what was expected. */
      readonly problems: readonly string[];
      /** What to do, where that is known. */
      readonly advice?: string;
    };

/** It can be served, and recorded inputs gave the same among others as alone. */
export function isFine(report: ModelReport): boolean {
  return report.ok && (report.audit?.difference ?? '') === '';
}

export interface CheckOptions {
  readonly signal: AbortSignal;
  /** Recorded inputs that are run again alone and among others. */
  readonly audit?: readonly string[] | undefined;
  /** `rpc.max_message_bytes` of the hosters that are to serve them. Default 16 MiB. */
  readonly maxMessageBytes?: number | undefined;
  readonly progress: (what: string) => void;
}

/**
 * Does with every model at a path what a hoster does when it loads it, in a process for each, one after
 * another.
 *
 * @throws UsageError when there is no model.
 */
export async function* checkAll(where: string, options: CheckOptions): AsyncGenerator<ModelReport> {
  const found = await findModels(where);
  if (found.kind === 'repository') {
    for (const model of found.models) yield await checkEntry(model, options);
    return;
  }
  yield* checkLoose(found, options);
}

async function* checkLoose(
  { models }: Extract<Found, { kind: 'loose' }>,
  options: CheckOptions,
): AsyncGenerator<ModelReport> {
  const repository = await mkdtemp(path.join(tmpdir(), 'cabstand-check-'));
  try {
    await makeRepository(repository, models);
    for (const model of models) {
      const folder = path.join(repository, model.name);
      const report = await checkEntry({ name: model.name, folder, variant: undefined }, options);
      yield report.ok
        ? report
        : {
            ...report,
            problems: report.problems.map((problem) => asFound(problem, repository, models)),
          };
    }
  } finally {
    await rm(repository, { recursive: true, force: true });
  }
}

/** Does with a model what a hoster does when it loads it. */
export async function checkEntry(
  { name, folder, variant }: ModelEntry,
  options: CheckOptions,
): Promise<ModelReport> {
  const { signal, audit, maxMessageBytes, progress } = options;
  progress(`${name}: reading`);
  let manifest: Manifest;
  try {
    manifest = await loadManifest(folder, undefined, { digest: false, variant });
  } catch (error) {
    return failed(name, error);
  }
  signal.throwIfAborted();
  const result = await checkModel(folder, {
    version: manifest.version,
    variant,
    // Of a module's sessions nothing is known by running them again: `cabstand module test` tries them.
    ...(audit === undefined || manifest.module !== undefined
      ? {}
      : { audit: await recordedTurns(audit, manifest) }),
    ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    onProgress: (stage) => progress(`${name}: ${stage}`),
    signal,
  });
  signal.throwIfAborted();
  if (!result.ok) return failed(name, result.error);
  const { loaded, seconds, audit: audited, others } = result;
  return { ok: true, name, manifest, loaded, audit: audited, others, seconds };
}

function failed(name: string, error: unknown): ModelReport {
  const failure = CabstandError.from(error, 'MODEL_FAILED');
  const { reason, message } = failure;
  const advice = goldenAdvice(failure)?.replace('NAME', name);
  return {
    ...{ ok: false, name, reason, problems: problemsIn(message) },
    ...(advice === undefined ? {} : { advice }),
  };
}

/** A message of several problems names the file and their count, and has a line for each. */
export function problemsIn(message: string): string[] {
  const [head = '', ...lines] = message.split('\n');
  const file = /^(.+): \d+ problems:$/.exec(head)?.[1];
  if (file === undefined) return [message];
  return lines.map((line) => {
    const problem = line.trim();
    return problem.startsWith(file) ? problem : `${file}: ${problem}`;
  });
}
