/** What all checks of one test share: the module, its code, engines to load it, and how long all may take. */
import type { Manifest } from '@cabstand/model';
import { placeIn } from '../kinds/module/failure';
import type { LoadedFrame } from '../frames/types';
import { EngineChild } from './engine-child';
import type { Source } from './source';
import type { Trial } from './trial';

export interface BenchOptions {
  readonly manifest: Manifest;
  readonly source: Source;
  /** How long the sessions of all checks may take together, about. */
  readonly seconds: number;
  readonly threads: number;
  readonly progress: (what: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Records of a session that are looked at, and their bytes. */
export const MOST_RECORDS = 120;
export const MOST_BYTES = 48 * 1024 * 1024;
const PLACES = 8;

export class Bench {
  readonly manifest: Manifest;
  readonly source: Source;
  readonly seconds: number;
  readonly progress: (what: string) => void;
  readonly #options: BenchOptions;

  constructor(options: BenchOptions) {
    this.manifest = options.manifest;
    this.source = options.source;
    this.seconds = options.seconds;
    this.progress = options.progress;
    this.#options = options;
  }

  /** From a stop until the code must have ended, in milliseconds. */
  get graceMs(): number {
    return (this.manifest.module?.stopGraceSeconds ?? 0) * 1000;
  }

  get comparesFloats(): boolean {
    return this.manifest.module?.replayCheck !== 'shape';
  }

  /** A new process that has loaded the module. @throws CabstandError why it has not */
  async engine(): Promise<{ engine: EngineChild; loaded: LoadedFrame }> {
    const { manifest, threads, signal } = this.#options;
    signal?.throwIfAborted();
    // Sessions that run side by side take turns at each of their calls.
    const engine = await EngineChild.start({ CABSTAND_MODULE_SLICE_MS: '0' });
    try {
      const { folder, version, digest, providers, variant } = manifest;
      const loaded = await engine.load(
        {
          ...{ folder, version, digest, threads, nice: 0, verify: false, maxBatch: 1 },
          ...(variant !== undefined && { variant }),
          provider: providers[0] ?? 'cpu',
          maxSequences: PLACES,
        },
        this.progress,
      );
      return { engine, loaded };
    } catch (error) {
      engine.kill();
      throw error;
    }
  }

  /** Why a session ended that should not have, with the author's file and line where they are known. */
  why(trial: Trial, engine: EngineChild): string {
    if (trial.gone !== undefined) return trial.gone.message;
    if (trial.end?.reason !== 'error') return 'it ended';
    const { message } = trial.end.error;
    return this.told(message, engine, trial.sequence);
  }

  /** A message with the place in the author's code, which the log names. */
  told(message: string, engine: EngineChild, sequence: number): string {
    const bare = message.replace(/^\w*Error: /, '').slice(0, 60);
    const folder = this.manifest.module?.folder ?? this.manifest.folder;
    const place = engine.logs
      .filter((line) => line.sequence === sequence && line.message.includes(bare))
      .map((line) => placeIn(line.message, folder))
      .find((found) => found !== undefined);
    return place === undefined ? message : `${place}: ${message}`;
  }
}
