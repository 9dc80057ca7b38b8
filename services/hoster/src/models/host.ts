import { CabstandError, abortReason, invalid } from '@cabstand/core';
import { loadManifest } from '@cabstand/model';
import type { Manifest, ModelEntry } from '@cabstand/model';
import type { BrokenModel, ModelHost } from './model-host';
import { confinement } from '../engines/confine';
import { EngineProcess } from '../engines/engine-process';
import { SocketFolder } from '../engines/socket-folder';
import { Spares } from '../engines/spares';
import { toldToCallers } from '../engines/told';
import { CoreBudget } from './core-budget';
import { LoadedFiles } from './files';
import { Gate } from './gate';
import { ModelInstance } from './instance';
import { ENGINE_BYTES, checkMemory, memoryNeeded } from './memory';
import { resolveModelHostOptions } from './options';
import type { ModelHostOptions, ResolvedModelHostOptions } from './options';
import { ModelRepository } from './repository';

/**
 * Opens a model repository and begins to load what it holds; `settled()` says when that is over.
 * Throws INVALID_ARGUMENT for bad options and INTERNAL where sockets cannot be made.
 */
export async function openModelHost(options: ModelHostOptions): Promise<ModelHost> {
  const resolved = resolveModelHostOptions(options);
  const repository = new ModelRepository(resolved.repositories);
  const found = await repository.scan();
  for (const name of resolved.only ?? [])
    if (!found.has(name))
      throw invalid(
        'INVALID_ARGUMENT',
        'models.only',
        name,
        `one of ${[...found.keys()].join(', ')}`,
      );
  const { engines, log } = resolved;
  const command = [...(await confinement(engines.sandbox, log)), ...engines.command];
  const host = new Host(
    { ...resolved, engines: { ...engines, command } },
    repository,
    await SocketFolder.create(resolved.socketParent),
  );
  for (const entry of found.values())
    if (resolved.only?.includes(entry.name) !== false) host.begin(entry);
  return host;
}

class Host implements ModelHost {
  readonly #options: ResolvedModelHostOptions;
  readonly #repository: ModelRepository;
  readonly #sockets: SocketFolder;
  readonly #budget: CoreBudget;
  /** Verification keeps a core busy: no more at once than there are. */
  readonly #gate: Gate;
  readonly #spares: Spares;
  readonly #instances = new Set<ModelInstance>();
  /** The one of each name that takes new sessions. */
  readonly #current = new Map<string, ModelInstance>();
  readonly #broken = new Map<string, BrokenModel>();
  readonly #loads = new Set<Promise<unknown>>();
  /** Loads and unloads of one name happen one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #listeners = new Set<() => void>();
  readonly #onProcessExit = (): void => {
    this.#sockets.remove();
  };
  readonly #stopping = new AbortController();
  #notifying = false;
  #stopped: Promise<void> | undefined;

  constructor(
    options: ResolvedModelHostOptions,
    repository: ModelRepository,
    sockets: SocketFolder,
  ) {
    this.#options = options;
    this.#repository = repository;
    this.#sockets = sockets;
    this.#budget = new CoreBudget(options.engines.cores, options.log);
    this.#gate = new Gate(options.engines.cores);
    const { engines, clock, log, availableMemory } = options;
    this.#spares = new Spares({
      options: engines,
      start: (signal) =>
        EngineProcess.start({ options: engines, folder: sockets, clock, log }, signal),
      checkMemory: () => {
        checkMemory('a spare engine', ENGINE_BYTES, availableMemory());
      },
      clock,
      log,
    });
    process.once('exit', this.#onProcessExit);
  }

  /** First load of a model at start: tried again later where that can help. */
  begin(entry: ModelEntry): void {
    void this.#track(
      this.#inTurn(entry.name, async () => {
        const manifest = await this.#readManifest(entry, undefined);
        await this.#loadInstance(manifest, true);
      }),
    );
  }

  models(): readonly ModelInstance[] {
    return [...this.#instances];
  }

  /** By name: the order in which loads fail says nothing. */
  broken(): readonly BrokenModel[] {
    return [...this.#broken.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  resolve(model: string): ModelInstance {
    const current = this.#current.get(model);
    if (current !== undefined) {
      current.assertServing();
      return current;
    }
    const broken = this.#broken.get(model);
    if (broken !== undefined)
      throw new CabstandError(
        'MODEL_FAILED',
        `${model} cannot be loaded: ${broken.error.message}`,
        {
          metadata: { ...broken.error.metadata, cause: broken.error.reason },
          cause: broken.error,
        },
      );
    if (this.#turns.has(model))
      throw new CabstandError('MODEL_LOADING', `${model} is loading`, { retryAfterMs: 1_000 });
    throw new CabstandError('MODEL_UNKNOWN', `there is no model ${JSON.stringify(model)} here`, {
      metadata: { model, models: [...this.#current.keys()].join(', ') },
    });
  }

  async settled(): Promise<void> {
    while (this.#loads.size > 0) await Promise.allSettled(this.#loads);
    if (!this.#options.strict) return;
    for (const { error } of this.broken()) throw error;
    for (const { status } of this.#instances) if (status.state === 'failed') throw status.error;
  }

  async load(model: string, version?: string): Promise<ModelInstance> {
    this.#assertRunning();
    return await this.#track(
      this.#inTurn(model, async () => {
        const entry = await this.#repository.find(model, version);
        const manifest = await this.#readManifest(entry, version);
        const current = this.#current.get(model);
        if (
          current?.version === manifest.version &&
          current.digest === manifest.digest &&
          current.status.state === 'ready'
        )
          return current;
        return await this.#loadInstance(manifest, false);
      }),
    );
  }

  async unload(model: string, version: string | undefined, deadlineMs: number): Promise<number> {
    const chosen = [...this.#instances].filter(
      (instance) =>
        instance.name === model && (version === undefined || instance.version === version),
    );
    if (chosen.length === 0)
      throw new CabstandError(
        'MODEL_NOT_HERE',
        `${version === undefined ? model : `version ${version} of ${model}`} is not loaded here`,
        { metadata: { model, ...(version === undefined ? {} : { version }) } },
      );
    const failed = await Promise.all(chosen.map((instance) => this.#retire(instance, deadlineMs)));
    return failed.reduce((sum, count) => sum + count, 0);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#stopping.abort(new CabstandError('DRAINING', 'this hoster is stopping'));
      const spares = this.#spares.stop();
      // A load may add its instance while others are being stopped.
      do {
        await Promise.all([...this.#instances].map((instance) => instance.stop()));
        await Promise.allSettled(this.#loads);
      } while (this.#loads.size > 0);
      await spares;
      this.#current.clear();
      this.#instances.clear();
      process.removeListener('exit', this.#onProcessExit);
      this.#sockets.remove();
    })();
    return this.#stopped;
  }

  async #readManifest(
    { name, folder, variant }: ModelEntry,
    version: string | undefined,
  ): Promise<Manifest> {
    try {
      const within = this.#repository.folders;
      const { signal } = this.#stopping;
      const manifest = await loadManifest(folder, version, { variant, within, signal });
      this.#broken.delete(name);
      return manifest;
    } catch (thrown) {
      // Nothing is wrong with a model that is not read to its end.
      if (this.#stopping.signal.aborted) throw abortReason(this.#stopping.signal);
      const whole = CabstandError.from(thrown, 'MANIFEST_INVALID');
      const error = toldToCallers(whole, { model: folder });
      // While another version serves, only who asked for this one needs to know.
      if (!this.#current.has(name)) {
        this.#broken.set(name, { name, folder, error });
        this.#options.log.error(
          { model: name, folder, reason: whole.reason, ...whole.metadata },
          `model cannot be loaded: ${whole.message}`,
        );
        this.#notify();
      }
      throw error;
    }
  }

  /** Loads and switches: the instance before drains, unless the new one fails. */
  async #loadInstance(manifest: Manifest, retry: boolean): Promise<ModelInstance> {
    const { engines, clock, log, observer, drainMs } = this.#options;
    const files = await LoadedFiles.of(manifest, this.#repository.folders);
    this.#assertRunning();
    const instance = new ModelInstance(manifest, {
      options: engines,
      folder: this.#sockets,
      spares: this.#spares,
      clock,
      log,
      observer,
      onChange: () => {
        this.#notify();
      },
      checkFiles: () => files.check(),
      checkMemory: async () => {
        checkMemory(manifest.name, await memoryNeeded(manifest), this.#options.availableMemory());
      },
    });
    let before = this.#current.get(manifest.name);
    if (before?.status.state === 'failed') {
      await this.#remove(before);
      before = undefined;
    }
    const replaces = before !== undefined;
    this.#instances.add(instance);
    this.#budget.take(engines.threads);
    if (!replaces) this.#current.set(manifest.name, instance);
    try {
      await this.#gate.run(() => instance.load(retry));
    } catch (error) {
      // One that replaces nothing stays, to be seen as failed; it may come back by itself.
      if (replaces || this.#stopped !== undefined) await this.#remove(instance);
      throw error;
    }
    this.#current.set(manifest.name, instance);
    if (before !== undefined) {
      log.info({ model: before.name, version: before.version }, 'model drains: it was replaced');
      void this.#retire(before, drainMs);
    }
    this.#notify();
    return instance;
  }

  async #retire(instance: ModelInstance, deadlineMs: number): Promise<number> {
    if (this.#current.get(instance.name) === instance) this.#current.delete(instance.name);
    const retired = instance.retire(deadlineMs);
    this.#notify();
    const failed = await retired;
    await this.#remove(instance);
    this.#options.log.info(
      { model: instance.name, version: instance.version, failed_sessions: failed },
      'model unloaded',
    );
    return failed;
  }

  async #remove(instance: ModelInstance): Promise<void> {
    await instance.stop();
    if (!this.#instances.delete(instance)) return;
    if (this.#current.get(instance.name) === instance) this.#current.delete(instance.name);
    this.#budget.release(this.#options.engines.threads);
    this.#notify();
  }

  #inTurn<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const mine = before.then(task, task);
    const done = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(name, done);
    void done.then(() => {
      if (this.#turns.get(name) === done) this.#turns.delete(name);
    });
    return mine;
  }

  #track<T>(load: Promise<T>): Promise<T> {
    this.#loads.add(load);
    const release = this.#spares.hold();
    const done = (): void => {
      this.#loads.delete(load);
      release();
    };
    load.then(done, done);
    return load;
  }

  #assertRunning(): void {
    if (this.#stopped !== undefined) throw new CabstandError('DRAINING', 'this hoster is stopping');
  }

  /** Listeners are called once for all changes of a tick. */
  #notify(): void {
    if (this.#notifying) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }
}
