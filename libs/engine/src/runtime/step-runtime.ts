/** Serves models that are computed in steps: graphs with a manifest that says how they are driven. */
import type { Manifest } from '@cabstand/model';
import { auditReason } from '../frames/audit-reason';
import type { LanguageFigures } from '../frames/language-frames';
import type { LoadFrame, LoadedFrame } from '../frames/types';
import { loadModel } from '../load';
import { runs } from '../native/runtime';
import { Auditor } from '../verify/audit';
import type { Runtime, RuntimeHost, RuntimeStats, WorkFrame } from './runtime';
import type { Sequence, Stepper } from './sequence';
import { StepLoop } from './step-loop';

/** What a step loop serves with. */
interface Served {
  readonly loaded: LoadedFrame;
  readonly stepper: Stepper;
  /** Bytes of state of all sequences; `sequences` are open. */
  readonly stateBytes: (sequences: number) => number;
  /** Of rows that ran among others; undefined where none do. */
  readonly auditor?: Auditor;
  /** Of language models. */
  readonly language?: () => LanguageFigures;
}

export class StepRuntime implements Runtime {
  readonly loaded: LoadedFrame;
  readonly #loop: StepLoop<Sequence>;
  readonly #served: Served;

  constructor(served: Served, host: RuntimeHost, maxSequences: number) {
    this.loaded = served.loaded;
    this.#loop = new StepLoop(served.stepper, host, maxSequences, served.auditor, runs);
    this.#served = served;
  }

  /** Loads and verifies a model of graphs. Throws what `loadModel` throws. */
  static async load(frame: LoadFrame, manifest: Manifest, host: RuntimeHost): Promise<StepRuntime> {
    const { model, stepper, stateBytes, loaded, rememberUnbatched } = await loadModel(
      frame,
      (stage) => host.send({ type: 'PROGRESS', stage }),
      manifest,
    );
    const auditor = new Auditor(stepper, {
      batchClass: loaded.batchClass,
      limits: model.manifest.golden,
      share: frame.audit ?? 0,
      onDifference: (finding) => {
        // Told once it is kept: nothing is batched meanwhile, and whoever hears it may end this engine.
        void rememberUnbatched(auditReason(finding)).finally(() => host.send(finding));
      },
    });
    const served = {
      ...{ loaded, stepper, auditor },
      stateBytes: (sequences: number) => sequences * stateBytes,
    };
    return new StepRuntime(served, host, frame.maxSequences);
  }

  get stats(): RuntimeStats {
    const { busySeconds, sequences, ready } = this.#loop.stats;
    const { auditor, language, stateBytes } = this.#served;
    const { passed: audits, seconds: auditSeconds } = auditor ?? { passed: 0, seconds: 0 };
    return {
      ...{ busySeconds, sequences, stateBytes: stateBytes(sequences), ready },
      ...{ audits, auditSeconds },
      ...(language !== undefined && { language: language() }),
    };
  }

  handle(frame: WorkFrame): void {
    this.#loop.handle(frame);
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  /** A step that runs is of no use to anybody, and harms nobody. */
  unload(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
