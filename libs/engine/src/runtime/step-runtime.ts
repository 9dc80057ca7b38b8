/** Serves models that are computed in steps: graphs with a manifest that says how they are driven. */
import { auditReason } from '../frames/audit-reason';
import type { LoadFrame, LoadedFrame } from '../frames/types';
import { loadModel } from '../load';
import { Auditor } from '../verify/audit';
import type { Runtime, RuntimeHost, RuntimeStats, WorkFrame } from './runtime';
import type { Sequence } from './sequence';
import { StepLoop } from './step-loop';

export class StepRuntime implements Runtime {
  readonly loaded: LoadedFrame;
  readonly #loop: StepLoop<Sequence>;
  readonly #auditor: Auditor;
  readonly #stateBytes: number;

  private constructor(
    loaded: LoadedFrame,
    loop: StepLoop<Sequence>,
    auditor: Auditor,
    stateBytes: number,
  ) {
    this.loaded = loaded;
    this.#loop = loop;
    this.#auditor = auditor;
    this.#stateBytes = stateBytes;
  }

  /** Loads and verifies the model. Throws what `loadModel` throws. */
  static async load(frame: LoadFrame, host: RuntimeHost): Promise<StepRuntime> {
    const { model, stepper, stateBytes, loaded, rememberUnbatched } = await loadModel(
      frame,
      (stage) => host.send({ type: 'PROGRESS', stage }),
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
    const loop = new StepLoop(stepper, host, frame.maxSequences, auditor);
    return new StepRuntime(loaded, loop, auditor, stateBytes);
  }

  get stats(): RuntimeStats {
    const { busySeconds, sequences, ready } = this.#loop.stats;
    const stateBytes = sequences * this.#stateBytes;
    const { passed: audits, seconds: auditSeconds } = this.#auditor;
    return { busySeconds, sequences, stateBytes, ready, audits, auditSeconds };
  }

  handle(frame: WorkFrame): void {
    this.#loop.handle(frame);
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }
}
