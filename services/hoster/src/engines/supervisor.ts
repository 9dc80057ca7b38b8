import { CabstandError } from '@cabstand/core';
import type { Reason, Timer } from '@cabstand/core';
import { auditReason, untried } from '@cabstand/engine';
import type { AuditFrame, LoadedFrame } from '@cabstand/engine';
import { KINDS } from '@cabstand/model';
import type { Manifest, Provider } from '@cabstand/model';
import { whyByBinding } from './by-binding';
import { checkState } from './check-state';
import type { Sequence, SequenceOptions, SequenceSink } from '@cabstand/sessions';
import type { EngineProcess } from './engine-process';
import { launchEngine } from './launch';
import type { LaunchDeps } from './launch';
import type { EngineExit } from './link';
import type { EngineLabels, EngineObserver } from './observer';
import { WithoutPaths } from './local-paths';
import type { LocalFolders } from './local-paths';
import { sequencesOf } from './options';
import type { ResolvedEngineOptions } from './options';
import { firstProvider } from './providers';
import { Restarts } from './restarts';
import { MovingAverage, Serving } from './serving';
import { audited, measuredBy, whyNot } from './state';
import type { EngineState, Measured } from './state';
import { toldToCallers, wholeText } from './told';

export interface SupervisorDeps extends LaunchDeps {
  readonly observer: EngineObserver;
  /** Called when the state changed or the last sequence was closed. */
  readonly onChange: () => void;
  /**
   * Throws if the model's files are no longer those whose digest the manifest has. Called before each
   * restart, and after every load: an engine takes the digest as given.
   */
  readonly checkFiles: () => Promise<void>;
  /** Throws if there is no memory for the model. Called before a load with verification. */
  readonly checkMemory: () => Promise<void>;
}

/** Failures that the same files and the same machine would give again. */
const LASTING: ReadonlySet<Reason> = new Set<Reason>([
  'MANIFEST_INVALID',
  'VERIFICATION_FAILED',
  'MODEL_FAILED',
  'MODULE_FAILED',
]);

/** Keeps one engine running for one version of a model. */
export class EngineSupervisor {
  readonly #manifest: Manifest;
  readonly #folders: LocalFolders;
  readonly #labels: EngineLabels;
  readonly #deps: SupervisorDeps;
  readonly #restarts: Restarts;
  readonly #stop = new AbortController();
  #state: EngineState = { state: 'loading', stage: 'waiting', after: undefined };
  #measured: Measured | undefined;
  #loaded: LoadedFrame | undefined;
  /** How its engines call ONNX Runtime. */
  #runtime: ResolvedEngineOptions['runtime'];
  /** Why nothing is batched any more, since an audit found it. */
  #audited: string | undefined;
  /** Outlives engines: a new one is judged by what its predecessors took. */
  readonly #stepTime = new MovingAverage();
  #timer: Timer | undefined;
  #diedAt = 0;
  /** The start or restart in progress. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(manifest: Manifest, deps: SupervisorDeps) {
    this.#manifest = manifest;
    this.#labels = { model: manifest.name, version: manifest.version };
    this.#deps = deps;
    this.#folders = { model: manifest.folder, others: [deps.folder.path] };
    this.#restarts = new Restarts(deps.options);
    this.#runtime = deps.options.runtime;
  }

  get state(): EngineState {
    return this.#state;
  }

  /** What the newest load answered; kept while the engine restarts. */
  get loaded(): LoadedFrame | undefined {
    return this.#loaded;
  }

  get stepSeconds(): number {
    return this.#stepTime.value;
  }

  forgetSteps(): void {
    this.#stepTime.forget();
  }

  get openSequences(): number {
    return this.#state.state === 'serving' ? this.#state.serving.sequences.size : 0;
  }

  /** Process id while serving. */
  get pid(): number | undefined {
    return this.#state.state === 'serving' ? this.#state.serving.process.pid : undefined;
  }

  /**
   * First load, with verification, on the first provider that works. Rejects when none does; with
   * `retry`, failures that may pass are tried again later.
   */
  start(retry: boolean): Promise<LoadedFrame> {
    const work = this.#loadVerified(undefined).catch((thrown: unknown) => {
      const error = this.#told(thrown, 'MODEL_FAILED');
      this.#fail(error, retry && !LASTING.has(error.reason));
      throw error;
    });
    this.#work = work.catch(() => undefined);
    return work;
  }

  openSequence(sink: SequenceSink, options: SequenceOptions): Sequence {
    if (this.#state.state !== 'serving')
      throw whyNot(this.#manifest.name, this.#state, this.#deps.clock.monotonic());
    return this.#state.serving.sequences.open(new WithoutPaths(sink, this.#folders), options);
  }

  /** Fails what is open with `error` and ends the process. Answers how many sequences failed. */
  async stop(error: CabstandError): Promise<number> {
    if (this.#state.state === 'stopped') return 0;
    const before = this.#state;
    this.#setState({ state: 'stopping' });
    this.#timer?.cancel();
    this.#stop.abort(error);
    let failed = 0;
    if (before.state === 'serving') {
      failed = before.serving.sequences.failAll(error);
      await before.serving.process.stop((this.#manifest.module?.stopGraceSeconds ?? 0) * 1000);
    }
    await this.#work;
    this.#setState({ state: 'stopped' });
    this.#deps.observer.gone(this.#labels);
    return failed;
  }

  async #loadVerified(after: CabstandError | undefined): Promise<LoadedFrame> {
    const { log, checkMemory } = this.#deps;
    await checkMemory();
    return await firstProvider(
      this.#manifest.providers,
      (provider) => this.#launchFirst(provider, after),
      (provider, error, next) => {
        log.warn(
          { ...this.#labels, provider, reason: error.reason, next: next ?? 'none' },
          `provider refused: ${error.message}`,
        );
      },
      this.#stop.signal,
    );
  }

  /** With verification; without, where that is what the engine died of, however ONNX Runtime was called. */
  async #launchFirst(provider: Provider, after: CabstandError | undefined): Promise<LoadedFrame> {
    try {
      return await this.#launchEitherWay(provider, after);
    } catch (thrown) {
      const error = CabstandError.from(thrown, 'ENGINE_CRASHED');
      const known = untried(this.#manifest, error);
      if (known === undefined || this.#stop.signal.aborted) throw error;
      this.#deps.log.warn({ ...this.#labels, provider }, `it is not verified: ${error.message}`);
      return await this.#launch(provider, { provider, known }, after);
    }
  }

  /** By the binding, where that may go well and calling ONNX Runtime's C API does not. */
  async #launchEitherWay(
    provider: Provider,
    after: CabstandError | undefined,
  ): Promise<LoadedFrame> {
    try {
      return await this.#launch(provider, undefined, after);
    } catch (thrown) {
      const error = CabstandError.from(thrown, 'ENGINE_CRASHED');
      const why = this.#runtime === 'auto' ? whyByBinding(provider, error) : undefined;
      if (why === undefined || this.#stop.signal.aborted) throw thrown;
      this.#runtime = 'binding';
      try {
        const loaded = await this.#launch(provider, undefined, after);
        this.#deps.log.warn(
          { ...this.#labels, signal: error.metadata['signal'] },
          `ONNX Runtime is called by its binding: ${why}`,
        );
        return loaded;
      } catch {
        this.#runtime = 'auto';
        throw thrown;
      }
    }
  }

  async #launch(
    provider: Provider,
    known: Measured | undefined,
    after: CabstandError | undefined,
  ): Promise<LoadedFrame> {
    const { options, log, observer, checkFiles } = this.#deps;
    const manifest = this.#manifest;
    log.info({ ...this.#labels, provider }, 'model loads');
    const { process, loaded } = await launchEngine(
      this.#deps,
      {
        type: 'LOAD',
        folder: manifest.folder,
        version: manifest.version,
        ...(manifest.variant === undefined ? {} : { variant: manifest.variant }),
        digest: manifest.digest,
        provider,
        threads: options.threads,
        runtime: this.#runtime,
        nice: options.nice,
        verify: known === undefined,
        ...(known === undefined ? {} : { known: known.known }),
        ...(options.verificationCache === '' ? {} : { cache: options.verificationCache }),
        audit: options.auditShare,
        maxBatch: this.#audited === undefined ? manifest.batching.maxBatch : 1,
        maxSequences: sequencesOf(manifest, options),
        maxMessageBytes: options.maxMessageBytes,
        maxStateBytes: options.maxStateBytes,
      },
      (stage) => {
        log.debug({ ...this.#labels, provider, stage }, 'model load goes on');
        this.#setState({ state: 'loading', stage, after });
      },
      this.#stop.signal,
    );
    try {
      await checkFiles();
      checkState(loaded, options);
    } catch (error) {
      await process.stop();
      throw error;
    }
    if (this.#stop.signal.aborted) {
      await process.stop();
      throw CabstandError.from(this.#stop.signal.reason, 'CANCELLED');
    }
    this.#serve(process, loaded);
    observer.loaded(this.#labels, loaded.loadSeconds, loaded.verifySeconds);
    log.info(
      {
        ...this.#labels,
        provider: loaded.provider,
        batch_class: loaded.batchClass,
        max_batch: loaded.maxBatch,
        ...(loaded.unbatchedBecause === '' ? {} : { unbatched_because: loaded.unbatchedBecause }),
        reference: loaded.reference,
        golden_error: loaded.goldenError,
        ...(loaded.notes.length === 0 ? {} : { notes: loaded.notes }),
        load_seconds: loaded.loadSeconds,
        verify_seconds: loaded.verifySeconds,
        engine_pid: process.pid,
      },
      'model serves',
    );
    return loaded;
  }

  #serve(process: EngineProcess, loaded: LoadedFrame): void {
    const serving = new Serving(process, this.#labels, this.#stepTime, {
      ...this.#deps,
      oneRun: KINDS[this.#manifest.kind].oneGraph,
      module: this.#manifest.module,
      onAudit: (finding) => {
        this.#onAudit(finding);
      },
    });
    this.#loaded = this.#audited === undefined ? loaded : audited(loaded, this.#audited);
    this.#measured = measuredBy(this.#loaded);
    this.#setState({ state: 'serving', serving });
    void process.exited.then((exit) => {
      this.#onExit(serving, exit);
    });
  }

  /** The engine batches nothing any more; its successors must not either. */
  #onAudit(finding: AuditFrame): void {
    const { output, got, expected, error, inputsDigest } = finding;
    const { log, onChange } = this.#deps;
    const because = auditReason(finding);
    log.error(
      { ...this.#labels, output, got, expected, error, inputs: inputsDigest },
      `nothing is batched any more: ${because}`,
    );
    this.#audited = because;
    if (this.#loaded === undefined) return;
    this.#loaded = audited(this.#loaded, because);
    this.#measured = measuredBy(this.#loaded);
    onChange();
  }

  #onExit({ process, sequences, servedMs }: Serving, exit: EngineExit): void {
    process.outbox.close();
    if (this.#stop.signal.aborted || exit.cause === 'stopped') return;
    const { log, observer, clock } = this.#deps;
    this.#diedAt = clock.monotonic();
    observer.died(this.#labels, exit.cause);
    // The state first: a session that hears of it may try to open another sequence.
    this.#afterDeath(this.#told(exit.error, 'ENGINE_CRASHED'), servedMs);
    const failed = sequences.failAll(exit.error);
    log.error(
      { ...this.#labels, engine_pid: process.pid, cause: exit.cause, sequences: failed },
      exit.error.message,
    );
  }

  #afterDeath(error: CabstandError, servedMs: number): void {
    const { clock, log } = this.#deps;
    const now = clock.monotonic();
    const decision = this.#restarts.died(now, servedMs);
    if (decision.kind === 'give-up') {
      this.#fail(
        new CabstandError(
          'MODEL_FAILED',
          `its engine died ${decision.deaths} times in a row; the last time: ${error.message}`,
          { metadata: { ...error.metadata, deaths: String(decision.deaths) }, cause: error },
        ),
        true,
      );
      return;
    }
    this.#setState({ state: 'backing-off', until: now + decision.delayMs, after: error });
    log.warn({ ...this.#labels, delay_ms: Math.round(decision.delayMs) }, 'engine restarts');
    this.#timer = clock.setTimer(() => {
      this.#work = this.#restart(error);
    }, decision.delayMs);
  }

  /** With what was measured at the first load: nothing has changed since, and callers wait. */
  async #restart(after: CabstandError): Promise<void> {
    const { clock, observer, log, checkFiles } = this.#deps;
    const measured = this.#measured;
    try {
      await checkFiles();
      if (measured === undefined) await this.#loadVerified(after);
      else await this.#launch(measured.provider, measured, after);
      observer.restarted(this.#labels, (clock.monotonic() - this.#diedAt) / 1_000);
    } catch (thrown) {
      if (this.#stop.signal.aborted) return;
      const error = this.#told(thrown, 'ENGINE_CRASHED');
      if (error.reason === 'MANIFEST_INVALID') this.#fail(error, false);
      // Was not serving before this try: nobody waits for it, the slow pace will do.
      else if (measured === undefined) this.#fail(error, !LASTING.has(error.reason));
      else {
        observer.died(this.#labels, 'load');
        log.error(
          { ...this.#labels, reason: error.reason },
          `the engine does not start: ${wholeText(error)}`,
        );
        this.#afterDeath(error, 0);
      }
    }
  }

  /** What callers hear of a load that failed, or of a death. */
  #told(thrown: unknown, otherwise: Reason): CabstandError {
    return toldToCallers(CabstandError.from(thrown, otherwise), this.#folders);
  }

  #fail(error: CabstandError, retry: boolean): void {
    if (this.#stop.signal.aborted) return;
    const { clock, log, options } = this.#deps;
    const retryAt = retry ? clock.monotonic() + options.retryMs : undefined;
    this.#setState({ state: 'failed', error, retryAt });
    log.error(
      { ...this.#labels, reason: error.reason, ...(retry ? { retry_ms: options.retryMs } : {}) },
      `model failed: ${wholeText(error)}`,
    );
    if (!retry) return;
    this.#timer = clock.setTimer(() => {
      // From the start: other providers may do, and what was measured may no longer hold.
      this.#measured = undefined;
      this.#work = this.#restart(error);
    }, options.retryMs);
  }

  #setState(state: EngineState): void {
    if (this.#stop.signal.aborted && state.state !== 'stopping' && state.state !== 'stopped')
      return;
    this.#state = state;
    this.#deps.onChange();
  }
}
