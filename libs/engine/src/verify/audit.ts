/** Audits while serving: trials cannot try every input, callers do. */
import { createHash } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import type { BatchClass } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { GraphSession, Tensors } from '../graphs/graph-session';
import type { AuditFrame } from '../frames/types';
import type { BoundTensor } from '../graphs/bound';
import type { JointRun, Rows } from '../graphs/joint-run';
import type { Stepper } from '../runtime/sequence';
import type { SpareWork } from '../runtime/step-loop';
import { compareTensors, incomparable } from './compare';
import type { Difference, Limits } from './compare';
import { copyRows, toOrt } from './rows';

/** Rows of one caller out of a run, and what the run gave for them. */
interface Sample {
  readonly session: GraphSession;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

export interface AuditOptions {
  readonly batchClass: BatchClass;
  readonly limits: Limits;
  /** Of the busy time, that audits may take. */
  readonly share: number;
  /** Called once: nothing is batched or audited any more by then. */
  readonly onDifference: (finding: AuditFrame) => void;
  /** In [0, 1). Default: Math.random. */
  readonly random?: () => number;
}

const MOST_SAMPLES = 4;
const MOST_BYTES = 64 * 1024 * 1024;
/** An engine that is never idle audits between two steps after this. */
const OVERDUE_MS = 5000;

/** Copies the rows of a caller out of some joint runs, and runs them again alone when there is time. */
export class Auditor implements SpareWork {
  readonly #stepper: Stepper;
  readonly #options: AuditOptions;
  readonly #random: () => number;
  #queue: { readonly sample: Sample; readonly bytes: number; readonly at: number }[] = [];
  #bytes = 0;
  /** Joint runs until one is sampled. */
  #until: number;
  #passed = 0;
  #seconds = 0;

  constructor(stepper: Stepper, options: AuditOptions) {
    this.#stepper = stepper;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#until = this.#draw();
    if (options.share > 0 && options.batchClass !== 'unbatched')
      stepper.tap = (run) => this.#see(run);
  }

  /** Audits that found nothing. */
  get passed(): number {
    return this.#passed;
  }

  /** What all audits took. */
  get seconds(): number {
    return this.#seconds;
  }

  due(busySeconds: number): boolean {
    return this.#queue.length > 0 && this.#seconds <= this.#options.share * busySeconds;
  }

  overdue(busySeconds: number): boolean {
    const [first] = this.#queue;
    return (
      first !== undefined && performance.now() - first.at > OVERDUE_MS && this.due(busySeconds)
    );
  }

  async run(): Promise<void> {
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#bytes -= next.bytes;
    const begun = performance.now();
    const found = await runAgain(next.sample, this.#options.limits);
    this.#seconds += (performance.now() - begun) / 1000;
    const { batchClass } = this.#options;
    if (batchClass === 'exact' ? found.equal : found.ratio <= 1) {
      this.#passed += 1;
      return;
    }
    // Before anything else: the next step must not put rows together any more.
    this.#stepper.maxBatch = 1;
    this.#stepper.tap = undefined;
    this.#queue = [];
    const { output, place, got, expected, error } = found;
    this.#options.onDifference({
      type: 'AUDIT',
      batchClass: 'unbatched',
      output: `${output}${place}`,
      got,
      expected,
      error: Math.min(error, Number.MAX_VALUE),
      inputsDigest: digestOf(next.sample.inputs),
    });
  }

  #see(run: JointRun): void {
    this.#until -= 1;
    if (this.#until > 0) return;
    this.#until = this.#draw();
    const caller = run.callers[Math.floor(this.#random() * run.callers.length)];
    if (caller === undefined || this.#queue.length >= MOST_SAMPLES) return;
    const bytes = bytesOf(run, caller);
    if (this.#bytes + bytes > MOST_BYTES) return;
    this.#bytes += bytes;
    this.#queue.push({ sample: sampleOf(run, caller), bytes, at: performance.now() });
  }

  /** One run in 1 / share, on average. */
  #draw(): number {
    const { share } = this.#options;
    return 1 + Math.floor(this.#random() * (2 / share - 1));
  }
}

/** A copy of what a caller's rows were, and of what became of them. */
function sampleOf({ graph, session, feeds, results }: JointRun, caller: Rows): Sample {
  const copy = (tensors: JointRun['feeds'], { name, batchAxis }: BoundTensor): Tensor[] => {
    const tensor = tensors[name];
    return tensor === undefined ? [] : [copyRows(name, tensor, batchAxis, caller)];
  };
  return {
    session,
    inputs: graph.inputs.flatMap((input) => copy(feeds, input)),
    outputs: graph.outputs.flatMap((output) => copy(results, output)),
  };
}

/** The worst difference between the rows alone and what they got among others. */
async function runAgain(
  { session, inputs, outputs }: Sample,
  limits: Limits,
): Promise<Difference & { readonly output: string }> {
  const feeds = Object.fromEntries(inputs.map((tensor) => [tensor.name, toOrt(tensor)]));
  const names = outputs.map(({ name }) => name);
  let worst: (Difference & { output: string }) | undefined;
  let results: Tensors;
  try {
    results = await session.run(feeds, names);
  } catch (error) {
    // They got an answer that they would not have got alone.
    return { ...incomparable('an answer', CabstandError.from(error).message), output: 'all' };
  }
  for (const got of outputs) {
    const alone = results[got.name];
    if (alone === undefined) continue;
    const expected = copyRows(got.name, alone, null, { from: 0, count: 1 });
    const difference = { ...compareTensors(got, expected, limits), output: got.name };
    const isWorse = worst === undefined || difference.ratio > worst.ratio;
    const equal = difference.equal && worst?.equal !== false;
    worst = { ...(isWorse || worst === undefined ? difference : worst), equal };
  }
  return worst ?? { ...incomparable('nothing', 'outputs'), output: 'all' };
}

function bytesOf({ graph, feeds, results }: JointRun, { count }: Rows): number {
  let bytes = 0;
  const add = (tensors: JointRun['feeds'], { name, batchAxis }: BoundTensor): void => {
    const tensor = tensors[name];
    if (tensor === undefined || Array.isArray(tensor.data)) return;
    const rows = batchAxis === null ? count : Math.max(1, tensor.dims[batchAxis] ?? 1);
    bytes += (tensor.data.byteLength * count) / rows;
  };
  for (const input of graph.inputs) add(feeds, input);
  for (const output of graph.outputs) add(results, output);
  return bytes;
}

function digestOf(inputs: readonly Tensor[]): string {
  const hash = createHash('sha256');
  for (const { name, dtype, shape, data, strings } of inputs) {
    hash.update(JSON.stringify({ name, dtype, shape, strings }));
    hash.update(data);
  }
  return `sha256:${hash.digest('hex')}`;
}
