/** A model loaded and served by the engine's own path, within this process. */
import { loadManifest } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { decodeFrame } from '../../libs/engine/src/frames/codec';
import { PREFIX } from '../../libs/engine/src/frames/layout';
import type { LoadFrame, LoadedFrame } from '../../libs/engine/src/frames/types';
import { loadModel } from '../../libs/engine/src/load';
import type { LoadedModel } from '../../libs/engine/src/load';
import { StepLoop } from '../../libs/engine/src/runtime/step-loop';
import { decodeChunk } from '../../libs/engine/src/verify/decode-chunk';

/** What a caller got: its one record by the graph's names, or why there is none. */
export type Got = ReadonlyMap<string, Tensor> | string;

export interface Served {
  readonly got: readonly Got[];
  /** Runs that held rows of several callers, and those of them that failed. */
  readonly jointRuns: number;
  readonly splits: number;
}

const PLENTY = 1e9;

export class InProcessModel {
  private constructor(
    readonly manifest: Manifest,
    readonly loaded: LoadedFrame,
    readonly model: LoadedModel,
  ) {}

  /** Loads and verifies it, as an engine does at LOAD. */
  static async load(folder: string, maxBatch: number): Promise<InProcessModel> {
    const frame: LoadFrame = {
      ...{ type: 'LOAD', folder, version: '1', provider: 'cpu', threads: 1, nice: 0 },
      ...{ verify: true, maxBatch, maxSequences: 64 },
    };
    const model = await loadModel(frame, () => undefined);
    const manifest = await loadManifest(folder, '1', { digest: false });
    return new InProcessModel(manifest, model.loaded, model);
  }

  /** One turn of each caller, all at once. @param callers inputs by the graph's names */
  async serve(callers: readonly (readonly Tensor[])[]): Promise<Served> {
    const { stepper } = this.model;
    const before = stepper.splits;
    let jointRuns = 0;
    stepper.tap = () => {
      jointRuns += 1;
    };
    const got = callers.map((): Got => 'no record');
    const stop = new AbortController();
    let left = callers.length;
    const write = (bytes: Buffer): boolean => {
      const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
      for (const item of frame.type === 'STEP' ? frame.items : []) {
        if (item.kind === 'chunk')
          got[item.sequence] = this.#named(decodeChunk(item.chunk).outputs);
        if (item.kind !== 'end') continue;
        if (item.end.reason === 'error') got[item.sequence] = item.end.error.message;
        left -= 1;
        if (left === 0) stop.abort();
      }
      return true;
    };
    const sink = { write, drained: () => Promise.resolve() };
    const loop = new StepLoop(stepper, sink, callers.length);
    for (const [sequence, tensors] of callers.entries()) {
      loop.handle({ type: 'OPEN', sequence, priority: 0 });
      const credits = [{ sequence, records: PLENTY, bytes: PLENTY }];
      loop.handle({ type: 'CREDITS', credits });
      loop.handle({
        ...{ type: 'TURN', sequence, turn: 0, prompt: '', parameters: {}, live: false },
        inputs: this.#published(tensors),
      });
    }
    await loop.run(stop.signal);
    return { got, jointRuns, splits: stepper.splits - before };
  }

  async release(): Promise<void> {
    await Promise.all(this.model.sessions.map((session) => session.release()));
  }

  #published(tensors: readonly Tensor[]): Tensor[] {
    const inputs = this.manifest.graphs[0]?.inputs ?? [];
    return tensors.map((tensor) => {
      const source = inputs.find(({ name }) => name === tensor.name)?.source;
      return source?.from === 'input' ? { ...tensor, name: source.input } : tensor;
    });
  }

  #named(tensors: readonly Tensor[]): ReadonlyMap<string, Tensor> {
    const outputs = this.manifest.graphs[0]?.outputs ?? [];
    return new Map(
      outputs.flatMap(({ name, sinks }) => {
        const emitted = sinks.find((sink) => sink.to === 'emit')?.output;
        const tensor = tensors.find((one) => one.name === emitted);
        return tensor === undefined ? [] : [[name, { ...tensor, name }] as const];
      }),
    );
  }
}
