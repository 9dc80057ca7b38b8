import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type {
  CommandDescription,
  LoadedFrame,
  OutputMetadata,
  ReferenceKind,
} from '@cabstand/engine';
import type { BatchClass, Manifest, ModelSignature, Provider } from '@cabstand/model';
import type {
  ModelStatus,
  Sequence,
  SequenceOptions,
  SequenceSink,
  ServedModel,
} from '@cabstand/sessions';
import { publicText } from '../engines/local-paths';
import { sequencesOf } from '../engines/options';
import { whyNot } from '../engines/state';
import { EngineSupervisor } from '../engines/supervisor';
import type { SupervisorDeps } from '../engines/supervisor';

/** One version of a model with its engine, from its load until it is freed. */
export class ModelInstance implements ServedModel {
  readonly manifest: Manifest;
  readonly #supervisor: EngineSupervisor;
  readonly #clock: Clock;
  readonly #options: SupervisorDeps['options'];
  #draining = false;
  #retired: Promise<number> | undefined;
  #onIdle: () => void = () => undefined;

  constructor(manifest: Manifest, deps: SupervisorDeps) {
    this.manifest = manifest;
    this.#clock = deps.clock;
    this.#options = deps.options;
    this.#supervisor = new EngineSupervisor(manifest, {
      ...deps,
      onChange: () => {
        if (this.openSequences === 0) this.#onIdle();
        deps.onChange();
      },
    });
  }

  get signature(): ModelSignature {
    return this.manifest;
  }

  get golden(): string | undefined {
    return this.manifest.golden.file;
  }

  get name(): string {
    return this.manifest.name;
  }

  get version(): string {
    return this.manifest.version;
  }

  get digest(): string {
    return this.manifest.digest;
  }

  get status(): ModelStatus {
    const { state } = this.#supervisor;
    if (this.#draining) return { state: 'draining' };
    switch (state.state) {
      case 'loading':
        return { state: 'loading', stage: state.after === undefined ? state.stage : 'restarting' };
      case 'backing-off':
        return { state: 'loading', stage: 'restarting' };
      case 'serving':
        return { state: 'ready' };
      case 'failed':
        return { state: 'failed', error: state.error };
      case 'stopping':
      case 'stopped':
        return { state: 'draining' };
    }
  }

  get provider(): Provider | undefined {
    return this.#supervisor.loaded?.provider;
  }

  get batchClass(): BatchClass | undefined {
    return this.#supervisor.loaded?.batchClass;
  }

  get reference(): ReferenceKind | undefined {
    return this.#supervisor.loaded?.reference;
  }

  get batchingNote(): string {
    const because = this.#supervisor.loaded?.unbatchedBecause ?? '';
    return publicText(because, { model: this.manifest.folder });
  }

  get runtime(): string {
    return this.#supervisor.loaded?.runtime ?? '';
  }

  get outputs(): readonly OutputMetadata[] {
    return this.#supervisor.loaded?.outputs ?? [];
  }

  get commands(): readonly CommandDescription[] {
    return this.#supervisor.loaded?.module?.commands ?? [];
  }

  get capacity(): number {
    if (this.signature.sessions?.exclusive === true)
      return this.#supervisor.loaded === undefined ? 0 : 1;
    return Math.min(this.#options.sessionsPerModel, this.#statesThatFit);
  }

  get places(): number {
    if (this.signature.sessions?.exclusive === true) return this.capacity;
    return Math.min(sequencesOf(this.signature, this.#options), this.#statesThatFit);
  }

  /** 0 until loaded. */
  get #statesThatFit(): number {
    const bytes = this.#supervisor.loaded?.stateBytesPerSequence;
    if (bytes === undefined) return 0;
    return bytes === 0 ? Infinity : Math.floor(this.#options.maxStateBytes / bytes);
  }

  get openSequences(): number {
    return this.#supervisor.openSequences;
  }

  get stepSeconds(): number {
    return this.#supervisor.stepSeconds;
  }

  forgetSteps(): void {
    this.#supervisor.forgetSteps();
  }

  /** Process id of its engine while it serves. */
  get enginePid(): number | undefined {
    return this.#supervisor.pid;
  }

  openSequence(sink: SequenceSink, options: SequenceOptions): Sequence {
    if (this.#draining)
      throw new CabstandError('DRAINING', `${this.name} version ${this.version} is being unloaded`);
    const { places, openSequences } = this;
    if (this.#supervisor.state.state === 'serving' && openSequences >= places)
      throw new CabstandError('HOSTER_FULL', `${this.name} has ${places} sessions already`, {
        metadata: { model: this.name, capacity: String(places) },
        retryAfterMs: 1_000,
      });
    return this.#supervisor.openSequence(sink, options);
  }

  /** Throws why it takes no new sessions, if it takes none. */
  assertServing(): void {
    const { state } = this.#supervisor;
    if (state.state !== 'serving') throw whyNot(this.name, state, this.#clock.monotonic());
  }

  load(retry: boolean): Promise<LoadedFrame> {
    return this.#supervisor.start(retry);
  }

  /**
   * Takes no new sessions, waits for those it has, at most `deadlineMs`, and frees the engine.
   * Answers how many sessions were failed.
   */
  async retire(deadlineMs: number): Promise<number> {
    this.#draining = true;
    const idle = new Promise<void>((resolve) => {
      const before = this.#onIdle;
      const timer = this.#clock.setTimer(done, deadlineMs);
      function done(): void {
        timer.cancel();
        before();
        resolve();
      }
      this.#onIdle = done;
      if (this.openSequences === 0) done();
    });
    await idle;
    return await this.stop();
  }

  /** Frees the engine at once. */
  stop(): Promise<number> {
    this.#draining = true;
    this.#retired ??= this.#supervisor.stop(
      new CabstandError('DRAINING', `${this.name} version ${this.version} was unloaded`),
    );
    return this.#retired;
  }
}
