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
