import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { StepFrame } from '../frames/types';
import type { FrameSink } from './runtime';
import { newSequence } from './sequence';
import type { Sequence, Stepper } from './sequence';
import { StepLoop } from './step-loop';

/** Steps of a turn that make no record, as those of a long prompt. */
const SILENT_STEPS = 3;

function silentStepper(): Stepper {
  return {
    maxBatch: 1,
    messageBytes: 1 << 20,
    splits: 0,
    tap: undefined,
    open: newSequence,
    restore: () => undefined,
    snapshot: () => Buffer.alloc(0),
    begin: (sequence, { turn }) => {
      sequence.turn = { number: turn, steps: 0, records: 0, taken: 0, cancelled: false };
    },
    input: () => undefined,
    ready: (sequence) => !over(sequence),
    done: over,
    group: () => KEY,
    weight: () => 1,
    step: (batch) => {
      for (const { turn } of batch) if (turn !== undefined) turn.steps += 1;
      return Promise.resolve();
    },
    endTurn: () => undefined,
    release: () => undefined,
  };
}

const KEY = {};

function over({ turn }: Sequence): boolean {
  return (turn?.steps ?? 0) >= SILENT_STEPS;
}

test('a step that makes no record is told of, so that the engine is not taken for hung', async () => {
  const stop = new AbortController();
  const steps: StepFrame[] = [];
  const sink: FrameSink = {
    write: (frame) => {
      const step = decodeFrame(frame[PREFIX - 1] ?? 0, frame.subarray(PREFIX)) as StepFrame;
      steps.push(step);
      if (step.items.some(({ kind }) => kind === 'end')) stop.abort();
      return true;
    },
    drained: () => Promise.resolve(),
  };
  const loop = new StepLoop(silentStepper(), sink, 1);
  loop.handle({ type: 'OPEN', sequence: 1, priority: 0 });
  loop.handle({ type: 'CREDITS', credits: [{ sequence: 1, records: 10, bytes: 1000 }] });
  loop.handle({
    ...{ type: 'TURN', sequence: 1, turn: 0, prompt: '', parameters: {}, inputs: [], live: false },
  });
  await loop.run(stop.signal);
  expect(steps.map(({ batch, items }) => [batch, items.length])).toEqual([
    [1, 0],
    [1, 0],
    [1, 1],
  ]);
});

/** Steps of live turns: each takes a part of each sequence that has one. */
class LiveStepper implements Stepper {
  readonly maxBatch = 4;
  readonly messageBytes = 1 << 20;
  readonly splits = 0;
  readonly tap = undefined;
  readonly open = newSequence;
  readonly batches: number[][] = [];
  readonly #parts = new Map<Sequence, number>();

  begin(sequence: Sequence, { turn }: { readonly turn: number }): void {
    sequence.turn = { number: turn, steps: 0, records: 0, taken: 0, cancelled: false };
  }
  input(sequence: Sequence): void {
    this.#parts.set(sequence, (this.#parts.get(sequence) ?? 0) + 1);
  }
  ready(sequence: Sequence): boolean {
    return (this.#parts.get(sequence) ?? 0) > 0;
  }
  step(batch: readonly Sequence[]): Promise<void> {
    for (const sequence of batch) this.#parts.set(sequence, (this.#parts.get(sequence) ?? 0) - 1);
    this.batches.push(batch.map(({ id }) => id));
    return Promise.resolve();
  }
  done = (): boolean => false;
  group = (): object => KEY;
  weight = (): number => 1;
  snapshot = (): Buffer => Buffer.alloc(0);
  restore = (): void => undefined;
  endTurn = (): void => undefined;
  release = (): void => undefined;
}

describe('live turns', () => {
  let stop: AbortController;
  let stepper: LiveStepper;
  let loop: StepLoop<Sequence>;
  let running: Promise<void>;
  let sent = 0;
  const part = (sequence: number): void =>
    loop.handle({ type: 'INPUT', sequence, turn: 0, part: sent++, inputs: [], last: false });

  beforeEach(async () => {
    stop = new AbortController();
    stepper = new LiveStepper();
    const sink: FrameSink = { write: () => true, drained: () => Promise.resolve() };
    loop = new StepLoop(stepper, sink, 4);
    for (const sequence of [1, 2]) {
      loop.handle({ type: 'OPEN', sequence, priority: 0 });
      loop.handle({ type: 'CREDITS', credits: [{ sequence, records: 100, bytes: 1000 }] });
      loop.handle({
        ...{ type: 'TURN', sequence, turn: 0, prompt: '', parameters: {}, inputs: [], live: true },
      });
    }
    running = loop.run(stop.signal);
    await idle();
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });

  test('a part for the only turn is computed before the event loop turns', async () => {
    loop.handle({ type: 'CLOSE', sequence: 2 });
    await idle();
    part(1);
    await microtasks();
    expect(stepper.batches).toEqual([[1]]);
  });

  test('where another turn has none yet, the socket is read once more', async () => {
    part(1);
    await microtasks();
    expect(stepper.batches).toEqual([]);
    part(2);
    await idle();
    expect(stepper.batches).toEqual([[1, 2]]);
  });

  test('between steps the event loop turns', async () => {
    loop.handle({ type: 'CLOSE', sequence: 2 });
    await idle();
    for (let i = 0; i < 3; i++) part(1);
    await microtasks();
    expect(stepper.batches).toEqual([[1]]);
    await idle();
    expect(stepper.batches).toEqual([[1], [1], [1]]);
  });
});

/** As much as happens without the event loop. */
async function microtasks(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
}

/** The loop has nothing to do any more. */
async function idle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}
