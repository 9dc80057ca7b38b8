import fc from 'fast-check';
import type { FramedInput, InputSpec } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { bytesOf } from '../graphs/batch-tensor';
import type { BoundModel } from '../graphs/bound';
import type { Progress } from '../snapshot/progress';
import { FrameSource } from './frame-source';
import { InputSets } from './input-set';
import { newTurn } from './turn';

/** Channels of an input; 0 for an input of one dimension. */
type Channels = 0 | 1 | 2 | 3;
type Framing = FramedInput & { readonly channels: Channels };

const spec = ({ input, axis, channels }: Framing): InputSpec => ({
  name: input,
  dtype: 'float32',
  alsoDtypes: ['int16'],
  shape: channels === 0 ? ['n'] : axis === 0 ? ['n', channels] : [channels, 'n'],
  minimum: undefined,
  maximum: undefined,
  allowNan: false,
  description: '',
  media: undefined,
});

/** A model of nothing but framed inputs. */
const modelOf = (framed: readonly Framing[], maxInputBytes = 1e9): BoundModel =>
  ({
    manifest: { framed, inputs: framed.map(spec), limits: { maxInputBytes } },
    graphs: [],
  }) as unknown as BoundModel;

const sourceOf = (model: BoundModel): FrameSource =>
  new FrameSource(model, new InputSets(model, []));

/** Lengths in units of what the hops have in common. */
interface Turn {
  readonly own: number | null;
  readonly parts: readonly number[];
}

/** Numbers of the items that each input brings: inputs count from other numbers. */
class Counter {
  #next: number[];

  constructor(readonly framed: readonly Framing[]) {
    this.#next = framed.map((_, index) => 1 + 1000 * index);
  }

  take(units: number, unit: number): number[][] {
    return this.framed.map(({ hop }, index) =>
      Array.from(
        { length: (units * hop) / unit },
        () => (this.#next[index] = at(this.#next, index) + 1),
      ),
    );
  }
}

const at = (numbers: readonly number[], index: number): number => numbers[index] ?? NaN;

/** Channel 0 is the number itself, the others its negative multiples. */
function tensorFor({ input, axis, channels }: Framing, numbers: readonly number[]): Tensor {
  const width = Math.max(1, channels);
  const array = new Float32Array(numbers.length * width);
  numbers.forEach((value, item) => {
    for (let channel = 0; channel < width; channel += 1)
      array[axis === 0 ? item * width + channel : channel * numbers.length + item] =
        channel === 0 ? value : -channel * value;
  });
  const shape = channels === 0 ? [numbers.length] : [numbers.length, width];
  return tensorOf(input, array, axis === 0 ? shape : shape.toReversed());
}

/** The numbers of a frame. Throws where its other channels are not what they should be. */
function numbersOf(source: FrameSource, index: number, framing: Framing): number[] {
  const { carry, frame, axis, carryValue } = framing;
  const width = Math.max(1, framing.channels);
  const items = carry + frame;
  const filled = new Float32Array(items * width);
  source.cutters[index]?.fill(filled);
  return Array.from({ length: items }, (_, item) => {
    const value = (channel: number): number =>
      filled[axis === 0 ? item * width + channel : channel * items + item] ?? NaN;
    const first = value(0);
    for (let channel = 1; channel < width; channel += 1) {
      const expected = first === carryValue ? carryValue : -channel * first;
      // Not expect(): there are very many.
      if (value(channel) !== expected) throw new Error(`channel ${channel}: ${value(channel)}`);
    }
    return first;
  });
}

/** Frames by step and input, cut the slow and obvious way. */
function naive(framed: readonly Framing[], turns: readonly Turn[], unit: number): number[][][] {
  const counter = new Counter(framed);
  const steps: number[][][] = [];
  const history = framed.map(({ carry, carryValue }) => new Array<number>(carry).fill(carryValue));
  let left = framed.map((): number[] => []);
  let seen = framed.map(() => 0);
  const cut = (): void => {
    steps.push(
      framed.map(({ frame }, index) => [
        ...(history[index] ?? []),
        ...(left[index] ?? []).slice(0, frame),
      ]),
    );
    framed.forEach(({ carry, hop }, index) => {
      const before = [...(history[index] ?? []), ...(left[index] ?? []).slice(0, hop)];
      history[index] = before.slice(before.length - carry);
    });
    left = left.map((items, index) => items.slice(framed[index]?.hop));
    seen = framed.map(({ frame, hop }) => frame - hop);
  };
  for (const { own, parts } of turns) {
    for (const units of own === null ? parts : [own, ...parts])
      counter.take(units, unit).forEach((numbers, index) => left[index]?.push(...numbers));
    while (framed.every(({ frame }, index) => (left[index]?.length ?? 0) >= frame)) cut();
    const [{ remainder } = { remainder: 'keep' }] = framed;
    while (remainder === 'pad' && left.some((items, index) => items.length > at(seen, index))) {
      left = left.map((items, index) => [
        ...items,
        ...new Array<number>(Math.max(0, (framed[index]?.frame ?? 0) - items.length)).fill(0),
      ]);
      cut();
    }
    if (remainder === 'keep') continue;
    left = framed.map(() => []);
    seen = framed.map(() => 0);
  }
  return steps;
}

/** What a source gives; before step number `cut` it is replaced by one restored from it. */
function frames(
  framed: readonly Framing[],
  turns: readonly Turn[],
  unit: number,
  cut = -1,
): number[][][] {
  const model = modelOf(framed);
  const counter = new Counter(framed);
  let source = sourceOf(model);
  const steps: number[][][] = [];
  let cutAt = cut;
  turns.forEach(({ own, parts }, number) => {
    const tensors = (units: number): Tensor[] =>
      counter
        .take(units, unit)
        .map((numbers, index) => tensorFor(framed[index] as Framing, numbers));
    const inputs = own === null ? [] : tensors(own);
    const live = parts.map(tensors);
    const send = (resume: Progress | undefined): void => {
      const frame = { type: 'TURN', sequence: 1, prompt: '', parameters: {}, inputs } as const;
      const started = { ...frame, turn: number, live: live.length > 0 };
      const turn = newTurn(model, started, {});
      source.begin(turn, started, resume);
      live.forEach((part, index) => {
        if (index < (resume?.partsTaken ?? 0)) return;
        turn.last = index + 1 === live.length;
        const { last } = turn;
        source.add(turn, {
          type: 'INPUT',
          sequence: 1,
          turn: number,
          part: index,
          inputs: part,
          last,
        });
      });
    };
    send(undefined);
    while (source.ready()) {
      if (steps.length === cutAt) {
        cutAt = -1;
        const saved = source.save().map(({ seen, carried, kept }) => ({
          seen,
          carried: Buffer.from(bytesOf(carried)),
          kept: Buffer.from(bytesOf(kept)),
        }));
        const progress = source.used() as Progress;
        source = sourceOf(model);
        source.restore(saved, progress);
        send(progress);
        continue;
      }
      steps.push(framed.map((framing, index) => numbersOf(source, index, framing)));
      source.advance();
    }
    source.endTurn(true);
  });
  return steps;
}

/** Framed inputs in step: hops are multiples of the same number of units. */
const inStep = fc
  .record({
    unit: fc.integer({ min: 1, max: 3 }),
    remainder: fc.constantFrom('keep' as const, 'pad' as const, 'drop' as const),
    inputs: fc.array(
      fc.record({
        multiple: fc.integer({ min: 1, max: 3 }),
        overlap: fc.integer({ min: 0, max: 6 }),
        carry: fc.integer({ min: 0, max: 5 }),
        carryValue: fc.constantFrom(0, -0.5),
        wantedAxis: fc.integer({ min: 0, max: 1 }),
        channels: fc.constantFrom<Channels>(0, 1, 2, 3),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .map(({ unit, remainder, inputs }) => ({
    unit,
    framed: inputs.map(
      ({ multiple, overlap, carry, carryValue, wantedAxis, channels }, index): Framing => ({
        input: `x${index}`,
        axis: channels === 0 ? 0 : wantedAxis,
        hop: multiple * unit,
        frame: multiple * unit + overlap,
        carry,
        carryValue,
        remainder,
        formats: ['float32'],
        channels,
      }),
    ),
  }));

const size = fc.integer({ min: 0, max: 9 });
const someTurns = fc.array(
  fc.record({ own: fc.option(size), parts: fc.array(size, { maxLength: 4 }) }),
  { minLength: 1, maxLength: 4 },
);

test('frames are what cutting the naive way gives, whatever the inputs, parts and turns', () => {
  fc.assert(
    fc.property(inStep, someTurns, ({ framed, unit }, turns) => {
      expect(frames(framed, turns, unit)).toEqual(naive(framed, turns, unit));
    }),
    { numRuns: 1000 },
  );
});

test('a source restored at any step goes on as if nothing had happened', () => {
  fc.assert(
    fc.property(inStep, someTurns, fc.nat({ max: 12 }), ({ framed, unit }, turns, cut) => {
      expect(frames(framed, turns, unit, cut)).toEqual(frames(framed, turns, unit));
    }),
    { numRuns: 1000 },
  );
});

const two: readonly Framing[] = [4, 6].map((frame, index) => ({
  input: `x${index}`,
  axis: 0,
  frame,
  hop: 2,
  carry: 0,
  carryValue: 0,
  remainder: 'keep',
  formats: ['float32'],
  channels: 0,
}));

test('a step waits for the frame of every input', () => {
  expect(frames(two, [{ own: null, parts: [2, 2, 2] }], 2)).toEqual([
    [
      [2, 3, 4, 5],
      [1002, 1003, 1004, 1005, 1006, 1007],
    ],
  ]);
});

test('input that has fallen short of what a snapshot used of it is refused, and nothing is added', () => {
  const source = sourceOf(modelOf(two));
  const none = Buffer.alloc(0);
  const use = { partUsed: 0, inputUsed: 2 };
  const resume = { partsTaken: 0, ...use, others: [use] } as unknown as Progress;
  source.restore(
    [0, 1].map(() => ({ seen: 0, carried: none, kept: none })),
    resume,
  );
  const frame = { type: 'TURN', sequence: 1, turn: 0, prompt: '', parameters: {} } as const;
  const begin = (lengths: readonly number[]): void => {
    const inputs = lengths.map((length, index) => tensorOf(`x${index}`, new Float32Array(length)));
    const started = { ...frame, inputs, live: false };
    source.begin(newTurn(modelOf(two), started, {}), started, resume);
  };
  expect(() => begin([9])).toThrow('missing');
  expect(() => begin([9, 1])).toThrow('2 items of an input are used, 1 came');
  begin([8, 8]);
  expect(source.cutters.map(({ waitingBytes }) => waitingBytes)).toEqual([24, 24]);
});

test('live input that comes faster than it is taken is refused', () => {
  const model = modelOf(two, 40);
  const source = sourceOf(model);
  const started = {
    ...({ type: 'TURN', sequence: 1, turn: 0, prompt: '', parameters: {} } as const),
    inputs: [],
    live: true,
  };
  const turn = newTurn(model, started, {});
  source.begin(turn, started, undefined);
  const add = (part: number): void => {
    const inputs = two.map(({ input }) => tensorOf(input, new Float32Array(8)));
    source.add(turn, { type: 'INPUT', sequence: 1, turn: 0, part, inputs, last: false });
  };
  add(0);
  expect(() => add(1)).toThrow('faster');
});
