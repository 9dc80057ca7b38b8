/** Runs what an engine does when it loads a model, in a process of its own: ONNX Runtime may take it down. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { CabstandError, toReason } from '@cabstand/core';
import { isExported, loadManifest } from '@cabstand/model';
import type { Manifest, Provider, TurnExample } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from './frames/limits';
import type { KnownModel, LoadedFrame } from './frames/types';
import { loadOnce } from './module-test/load-once';
import { untried } from './untried';

/** A turn as a caller sent it. */
export type RecordedTurn = Pick<TurnExample, 'prompt' | 'parameters' | 'inputs'>;

export interface CheckOptions {
  /** Default: the newest. */
  readonly version?: string;
  /** One of the manifest's variants. Default: the model itself. */
  readonly variant?: string | undefined;
  /** Default: all of the manifest's. */
  readonly provider?: Provider;
  /** Turns that were recorded, by session: they run together and alone, and must give the same. */
  readonly audit?: readonly (readonly RecordedTurn[])[];
  /** Intra-op threads. Default 1. */
  readonly threads?: number;
  /** `rpc.max_message_bytes` of the hosters that are to serve it. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  readonly onProgress?: (stage: string) => void;
  readonly signal?: AbortSignal;
}

/** What the recorded turns showed. */
export interface AuditResult {
  /** Sessions that ran among the others. */
  readonly sessions: number;
  /** Empty where all gave the same, together and alone. */
  readonly difference: string;
}

type Checked =
  | { readonly ok: true; readonly loaded: LoadedFrame; readonly audit: AuditResult | undefined }
  | { readonly ok: false; readonly error: CabstandError };

/** What one of the manifest's providers made of the model. */
export type ProviderCheck = Checked & { readonly provider: Provider };

export type CheckResult =
  | {
      readonly ok: true;
      /** With the first provider that works, which is what a hoster serves with. */
      readonly loaded: LoadedFrame;
      readonly audit: AuditResult | undefined;
      /** The manifest's other providers: what works, or MODEL_FAILED where this machine cannot. */
      readonly others: readonly ProviderCheck[];
      readonly seconds: number;
    }
  | { readonly ok: false; readonly error: CabstandError };

/** What the child is asked. */
export interface CheckRequest {
  readonly folder: string;
  readonly version: string;
  readonly variant?: string;
  readonly digest: string;
  readonly provider: Provider;
  readonly threads: number;
  readonly maxMessageBytes: number;
  readonly audit: readonly (readonly RecordedTurn[])[];
  /** Not to be verified. */
  readonly known?: KnownModel;
}

/** What it says: any number of stages, then one of the others. */
export type CheckAnswer =
  | { readonly kind: 'progress'; readonly stage: string }
  | { readonly kind: 'loaded'; readonly loaded: LoadedFrame; readonly audit?: AuditResult }
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly message: string;
      readonly metadata: Readonly<Record<string, string>>;
    };

/** Never rejects for what is wrong with the model: that is the result. */
export async function checkModel(folder: string, options: CheckOptions = {}): Promise<CheckResult> {
  const begun = performance.now();
  try {
    const { variant, audit = [], provider } = options;
    const manifest = await loadManifest(folder, options.version, { variant });
    const exported = isExported(manifest);
    if (audit.length > 0 && (manifest.module !== undefined || exported))
      throw new CabstandError(
        'INVALID_ARGUMENT',
        exported
          ? 'recorded inputs are not run again on a model as its exporter wrote it: its own trial compares texts alone and together'
          : 'recorded inputs are not run again on a module: its sessions are code, which `cabstand module test` tries',
      );
    const checked: ProviderCheck[] = [];
    for (const one of provider === undefined ? manifest.providers : [provider]) {
      options.signal?.throwIfAborted();
      checked.push({ provider: one, ...(await checkOn(one, manifest, options)) });
    }
    const refusals = checked.flatMap((one) => (one.ok ? [] : one.error));
    // A provider that this machine lacks says nothing of the model.
    const wrong = refusals.find(({ reason }) => reason !== 'MODEL_FAILED');
    const first = checked.find((one) => one.ok);
    if (first === undefined || wrong !== undefined)
      return { ok: false, error: wrong ?? refusals.at(-1) ?? noProvider() };
    const others = checked.filter((one) => one !== first);
    const seconds = (performance.now() - begun) / 1000;
    return { ok: true, loaded: first.loaded, audit: first.audit, others, seconds };
  } catch (thrown) {
    return { ok: false, error: CabstandError.from(thrown, 'MODEL_FAILED') };
  }
}

function noProvider(): CabstandError {
  return new CabstandError('MODEL_FAILED', 'no provider');
}

/** With one provider. Rejects where the process that tried it ended. */
async function checkOn(
  provider: Provider,
  manifest: Manifest,
  options: CheckOptions,
): Promise<Checked> {
  const { threads = 1, audit = [], maxMessageBytes = DEFAULT_MESSAGE_BYTES } = options;
  const { folder, version, digest, variant, module } = manifest;
  if (module !== undefined || isExported(manifest)) {
    const { onProgress = () => undefined, signal } = options;
    const verify = module === undefined;
    const asked = { provider, threads, maxMessageBytes, verify, onProgress, signal };
    return await loadOnce(manifest, asked).then(
      (loaded) => ({ ok: true, loaded, audit: undefined }),
      (error: unknown) => ({ ok: false, error: CabstandError.from(error) }),
    );
  }
  const request = {
    ...{ folder, version, digest, provider, threads, maxMessageBytes, audit },
    ...(variant !== undefined && { variant }),
  };
  const answer = await ask(request, options).catch((thrown: unknown) => {
    const known = untried(manifest, CabstandError.from(thrown));
    if (known === undefined) throw thrown;
    return ask({ ...request, known }, options);
  });
  if (answer.kind === 'loaded') return { ok: true, loaded: answer.loaded, audit: answer.audit };
  const { reason, message, metadata } = answer;
  return { ok: false, error: new CabstandError(toReason(reason), message, { metadata }) };
}

type LastAnswer = Exclude<CheckAnswer, { kind: 'progress' }>;

async function ask(
  request: CheckRequest,
  { onProgress, signal }: CheckOptions,
): Promise<LastAnswer> {
  const child = fork(entry(), [], {
    serialization: 'advanced',
    execArgv: [],
    // Keys and secrets in the caller's settings are not its business.
    env: Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('CABSTAND_')),
    ),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...(signal !== undefined && { signal }),
  });
  let said = '';
  child.stderr?.on('data', (bytes: Buffer) => (said = `${said}${bytes.toString()}`.slice(-1000)));
  try {
    return await new Promise<LastAnswer>((resolve, reject) => {
      child.on('message', (answer: CheckAnswer) => {
        if (answer.kind === 'progress') onProgress?.(answer.stage);
        else resolve(answer);
      });
      child.once('error', reject);
      child.once('exit', (code, killed) => {
        const how = killed === null ? `exit code ${code}` : `signal ${killed}`;
        const last = said.trim().split('\n').at(-1) ?? '';
        const message = `ONNX Runtime ended its process (${how})${last === '' ? '' : `: ${last}`}`;
        const metadata = killed === null ? {} : { signal: killed };
        reject(new CabstandError('MODEL_FAILED', message, { metadata }));
      });
      child.send(request);
    });
  } finally {
    child.kill();
  }
}

function entry(): string {
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  return path.join(root, 'dist', 'check-process.js');
}
