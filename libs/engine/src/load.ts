/** Loads the engine's model: manifest, ONNX sessions, what binds them, and how it may be batched. */
import { CabstandError, invalid } from '@cabstand/core';
import { exampleTurns, isExported, loadManifest, readGolden } from '@cabstand/model';
import type { BatchClass, GoldenSequence, Manifest } from '@cabstand/model';
import type { CalledBy, GraphSession } from './graphs/graph-session';
import { DEFAULT_MESSAGE_BYTES } from './frames/limits';
import type { KnownModel, LoadFrame, LoadedFrame } from './frames/types';
import { bindManifest, describeOutputs } from './graphs/bind';
import type { BoundModel } from './graphs/bound';
import { describeRuntime } from './graphs/onnx-runtime';
import { findRowAxes, rowAxesOf, withRowAxes, withoutAxes } from './graphs/row-axes';
import { createSession } from './graphs/session';
import { createStepper } from './kinds/create';
import type { Stepper } from './runtime/sequence';
import { SnapshotFormat } from './snapshot/format';
import { checkSnapshotFits } from './snapshot/limit';
import { VerificationCache } from './verify/cache';
import type { TurnPlan } from './verify/harness';
import { verifyModel } from './verify/verify';
import type { Verification } from './verify/verify';

export interface LoadedModel {
  readonly model: BoundModel;
  readonly sessions: readonly GraphSession[];
  readonly stepper: Stepper;
  readonly stateBytes: number;
  readonly loaded: LoadedFrame;
  /** Notes for all later loads that rows of several callers may not run together. */
  readonly rememberUnbatched: (because: string) => Promise<void>;
}

/** Verification takes no longer than about this, golden data apart. */
const BUDGET_SECONDS = 30;
/** Inputs to try where there is no golden data: several of each style. */
const EXAMPLES = 16;

/** @throws CabstandError MANIFEST_INVALID. */
export async function readManifest(frame: LoadFrame): Promise<Manifest> {
  const { folder, version, variant, digest: known } = frame;
  const read = await loadManifest(folder, version, { digest: known === undefined, variant });
  return { ...read, digest: known ?? read.digest };
}

/**
 * Loads and, where asked to, verifies a model of graphs.
 *
 * @param read its manifest. Default: it is read.
 * @throws CabstandError MANIFEST_INVALID, MODEL_FAILED or VERIFICATION_FAILED.
 */
export async function loadModel(
  frame: LoadFrame,
  progress: (stage: string) => void,
  read?: Manifest,
): Promise<LoadedModel> {
  const begun = performance.now();
  progress('loading');
  const manifest = read ?? (await readManifest(frame));
  if (manifest.module !== undefined || isExported(manifest))
    throw invalid(
      'INVALID_ARGUMENT',
      `${manifest.name}: kind`,
      manifest.kind,
      'a kind of model that is made of graphs',
    );
  const sessions: GraphSession[] = [];
  for (const { file } of manifest.graphs) sessions.push(await createSession(file, frame));
  const calledBy = sessions[0]?.calledBy;
  const bound = bindManifest(
    manifest,
    sessions.map(({ inputMetadata, outputMetadata }) => ({
      inputs: inputMetadata,
      outputs: outputMetadata,
    })),
  );
  const { maxMessageBytes = DEFAULT_MESSAGE_BYTES } = frame;
  // First of all: verifying holds many states at once.
  checkSnapshotFits(bound.stateBytes, new SnapshotFormat(bound).largest, maxMessageBytes);
  const before = frame.verify ? undefined : asKnown(bound, frame.known);
  // A restart need not read again what it does not run again.
  const golden = before === undefined ? await goldenOf(manifest) : undefined;
  const turns = golden?.flatMap((sequence) => sequence.turns) ?? examplesOf(manifest);
  const model = before ?? (await findRowAxes(bound, sessions, turns));
  const loadSeconds = (performance.now() - begun) / 1000;
  const most = Math.min(manifest.batching.maxBatch, frame.maxBatch);
  const cache = frame.verify ? cacheOf(frame, manifest, golden, most, calledBy) : undefined;
  const verifying = performance.now();
  const verified = frame.verify
    ? await verifiedOnce(cache, () =>
        verifyModel(model, sessions, {
          maxBatch: most,
          messageBytes: maxMessageBytes,
          provider: frame.provider,
          threads: frame.threads,
          golden,
          examples: golden === undefined ? turns : [],
          budgetSeconds: BUDGET_SECONDS,
          progress,
        }),
      )
    : knownBefore(frame.known, most);
  const verifySeconds = frame.verify ? (performance.now() - verifying) / 1000 : 0;
  const { batchClass, because } = lowered(verified, manifest.batching.class);
  const maxBatch = batchClass === 'unbatched' ? 1 : Math.min(most, verified.maxBatch);
  const stepper = createStepper(model, sessions, maxBatch, maxMessageBytes);
  return {
    model,
    sessions,
    stepper: stepper as unknown as Stepper,
    stateBytes: model.stateBytes,
    rememberUnbatched: async (reason) => {
      const now: Verification = { ...verified, batchClass: 'unbatched', unbatchedBecause: reason };
      const kept = cache ?? cacheOf(frame, manifest, await goldenOf(manifest), most, calledBy);
      await keep(kept, { ...now, maxBatch: 1, complete: true });
    },
    loaded: {
      type: 'LOADED',
      provider: frame.provider,
      batchClass,
      maxBatch,
      runtime: describeRuntime(calledBy),
      goldenError: verified.goldenError,
      reference: verified.reference,
      unbatchedBecause: batchClass === 'unbatched' ? because : '',
      notes: [...new Set([...model.notes, ...verified.notes])],
      rowAxes: rowAxesOf(model),
      stateBytesPerSequence: model.stateBytes,
      loadSeconds,
      verifySeconds,
      outputs: describeOutputs(model),
    },
  };
}

async function goldenOf({ golden, ...manifest }: Manifest): Promise<GoldenSequence[] | undefined> {
  return golden.file === undefined ? undefined : await readGolden(golden.file, manifest);
}

/** The model as an earlier load of the same files found it; undefined where that says too little. */
function asKnown(bound: BoundModel, known: KnownModel | undefined): BoundModel | undefined {
  const found = known?.rowAxes && withRowAxes(bound, known.rowAxes);
  if (found !== undefined || known?.batchClass !== 'unbatched') return found;
  return withoutAxes(bound, known.unbatchedBecause ?? '');
}

function examplesOf(manifest: Manifest): TurnPlan[] {
  return exampleTurns(manifest, { count: EXAMPLES });
}

function cacheOf(
  { cache, provider, threads }: LoadFrame,
  manifest: Manifest,
  golden: readonly GoldenSequence[] | undefined,
  maxBatch: number,
  calledBy: CalledBy | undefined,
): VerificationCache | undefined {
  if (cache === undefined || cache === '') return undefined;
  const runtime = describeRuntime(calledBy);
  return new VerificationCache(cache, { manifest, golden, runtime, provider, threads, maxBatch });
}

async function verifiedOnce(
  cache: VerificationCache | undefined,
  verify: () => Promise<Verification>,
): Promise<Verification> {
  const before = await cache?.read();
  if (before !== undefined) return before;
  const verified = await verify();
  await keep(cache, verified);
  return verified;
}

async function keep(cache: VerificationCache | undefined, verified: Verification): Promise<void> {
  try {
    await cache?.write(verified);
  } catch (error) {
    process.stderr.write(`engine: result not kept: ${CabstandError.from(error).message}\n`);
  }
}

function knownBefore(known: KnownModel | undefined, most: number): Verification {
  return {
    batchClass: known?.batchClass ?? 'unbatched',
    maxBatch: known?.maxBatch ?? most,
    goldenError: known?.goldenError ?? 0,
    reference: known?.reference ?? 'none',
    unbatchedBecause: known?.unbatchedBecause ?? 'it was not verified',
    notes: known?.notes ?? [],
    complete: true,
  };
}

const ORDER: readonly BatchClass[] = ['unbatched', 'tolerance', 'exact'];

/** A manifest may only lower the class. */
function lowered(
  { batchClass, unbatchedBecause }: Verification,
  declared: BatchClass | undefined,
): { batchClass: BatchClass; because: string } {
  const lower = declared !== undefined && ORDER.indexOf(declared) < ORDER.indexOf(batchClass);
  if (!lower) return { batchClass, because: unbatchedBecause };
  return { batchClass: declared, because: 'the manifest says so: batching.class' };
}
