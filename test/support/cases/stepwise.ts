/** A stateful model called directly, one frame after another. */
import { tensorOf, arrayOf } from '@cabstand/client';
import type { Tensor } from '@cabstand/client';
import type { Direct } from './direct';

export interface Loop {
  /** Signals of one dimension, by the graph input that takes a frame of them. */
  readonly signals: Readonly<Record<string, Tensor>>;
  readonly frame: number;
  /** What the state's input gets first, and which output gives it after that. */
  readonly state?: { readonly input: string; readonly initial: Tensor; readonly output: string };
  readonly output: string;
}

/** The output of each step. What fills no frame is left. */
export async function stepwise(direct: Direct, loop: Loop): Promise<Tensor[]> {
  const { signals, frame, state, output } = loop;
  const lengths = Object.values(signals).map(({ shape }) => shape[0] ?? 0);
  const steps = Math.floor(Math.min(...lengths) / frame);
  let held = state?.initial;
  const results: Tensor[] = [];
  for (let step = 0; step < steps; step += 1) {
    const feeds: Record<string, Tensor> = {};
    for (const [name, signal] of Object.entries(signals))
      feeds[name] = framesOf(signal, step * frame, frame);
    if (state !== undefined && held !== undefined) feeds[state.input] = held;
    const [given, next] = await direct.run(feeds, [output, state?.output ?? output]);
    if (given === undefined) throw new Error(`the graph gave no ${output}`);
    results.push(given);
    held = next;
  }
  return results;
}

/** `count` items of a signal from `start` on, as one row. */
function framesOf(signal: Tensor, start: number, count: number): Tensor {
  return { ...part(signal, start, start + count), shape: [1, count] };
}

/** Items of a signal of one dimension, in memory of their own. */
export function part(signal: Tensor, start: number, end: number): Tensor {
  const items = arrayOf(signal).slice(start, end);
  return tensorOf(signal.name, items, [items.length], signal.dtype);
}

/** A signal of one dimension, so many times over. */
export function repeated(signal: Tensor, times: number): Tensor {
  const data = Buffer.concat(Array.from({ length: times }, () => signal.data));
  return { ...signal, shape: [(signal.shape[0] ?? 0) * times], data };
}
