import fc from 'fast-check';
import type { FramedInput, InputSpec } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import { bytesOf } from '../graphs/batch-tensor';
import { FrameCutter } from './frame-cutter';

const spec = (framing: FramedInput, channels: number): InputSpec => ({
  name: framing.input,
  dtype: 'float32',
  alsoDtypes: [],
  shape: channels === 0 ? ['n'] : framing.axis === 0 ? ['n', channels] : [channels, 'n'],
  minimum: undefined,
  maximum: undefined,
  allowNan: false,
  description: '',
  media: undefined,
});

/** Turns of whole numbers, cut the slow and obvious way. */
function naive(
  turns: readonly (readonly number[])[],
  { frame, hop, carry, remainder }: FramedInput,
): number[][] {
  const frames: number[][] = [];
  let history = new Array<number>(carry).fill(0);
  let left: number[] = [];
  let seen = 0;
  const cut = (): void => {
    const window = left.slice(0, frame);
    frames.push([...history, ...window]);
    history = [...history, ...left.slice(0, hop)].slice(hop > 0 ? -carry || Infinity : 0);
    left = left.slice(hop);
    seen = frame - hop;
  };
  for (const turn of turns) {
    left = [...left, ...turn];
    while (left.length >= frame) cut();
    if (remainder === 'pad' && left.length > seen) {
      left = [...left, ...new Array<number>(frame - left.length).fill(0)];
      cut();
    }
    if (remainder !== 'keep') {
      left = [];
      seen = 0;
    }
  }
  return frames;
}

test('frames are what cutting the naive way gives, whatever the parts and turns', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 0, max: 5 }),
      fc.constantFrom('keep' as const, 'pad' as const, 'drop' as const),
      fc.integer({ min: 0, max: 1 }),
      fc.integer({ min: 0, max: 3 }),
      fc.array(fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }), { maxLength: 4 }),
      (frame, wantedHop, carry, remainder, wantedAxis, channels, turns) => {
        const axis = channels === 0 ? 0 : wantedAxis;
        const framing: FramedInput = {
          input: 'x',
          axis,
          frame,
          hop: Math.min(frame, wantedHop),
          carry,
          carryValue: 0,
          remainder,
          formats: ['float32'],
        };
        const cutter = new FrameCutter(framing, spec(framing, channels));
        const width = Math.max(1, channels);
        const got: number[][] = [];
        const sent: number[][] = [];
        let next = 1;
        for (const parts of turns) {
          const turn: number[] = [];
          let number = 0;
          const drain = (): void => {
            while (cutter.ready) {
              const filled = new Float32Array((carry + frame) * width);
              cutter.fill(filled);
              // Channel 0 is the number itself, the others its negative multiples.
              const items = Array.from({ length: carry + frame }, (_, item) => {
                const at = (channel: number): number =>
                  filled[axis === 0 ? item * width + channel : channel * (carry + frame) + item] ??
                  NaN;
                for (let channel = 1; channel < width; channel += 1)
                  expect(at(channel)).toBeCloseTo(-channel * at(0));
                return at(0);
              });
              got.push(items);
              cutter.advance(filled);
            }
          };
          for (const items of parts) {
            const numbers = Array.from({ length: items }, () => next++);
            turn.push(...numbers);
            const array = new Float32Array(items * width);
            numbers.forEach((value, item) => {
              for (let channel = 0; channel < width; channel += 1)
                array[axis === 0 ? item * width + channel : channel * items + item] =
                  channel === 0 ? value : -channel * value;
            });
            const shape = channels === 0 ? [items] : axis === 0 ? [items, width] : [width, items];
            cutter.add(tensorOf('x', array, shape), number++);
            drain();
          }
          cutter.finish();
          drain();
          cutter.endTurn(true);
          sent.push(turn);
        }
        expect(got).toEqual(naive(sent, framing));
      },
    ),
    { numRuns: 500 },
  );
});

test('int16 samples are divided by 32768', () => {
  const framing: FramedInput = {
    input: 'x',
    axis: 0,
    frame: 2,
    hop: 2,
    carry: 0,
    carryValue: 0,
    remainder: 'keep',
    formats: ['float32', 'int16'],
  };
  const cutter = new FrameCutter(framing, spec(framing, 0));
  cutter.add(tensorOf('x', Int16Array.of(-32768, 16384)), 0);
  const filled = new Float32Array(2);
  cutter.fill(filled);
  expect([...filled]).toEqual([-1, 0.5]);
});

test('a cutter restored at any frame goes on as if nothing had happened', () => {
  const framing = fc
    .record({
      frame: fc.integer({ min: 1, max: 6 }),
      hop: fc.integer({ min: 1, max: 6 }),
      carry: fc.integer({ min: 0, max: 4 }),
      remainder: fc.constantFrom('keep' as const, 'pad' as const, 'drop' as const),
    })
    .map(({ frame, hop, ...rest }): FramedInput => ({
      ...rest,
      carryValue: 0,
      input: 'x',
      axis: 1,
      frame,
      hop: Math.min(frame, hop),
      formats: ['float32'],
    }));
  const size = fc.integer({ min: 1, max: 9 });
  const turn = fc.record({ own: fc.option(size), parts: fc.array(size, { maxLength: 4 }) });
  fc.assert(
    fc.property(
      framing,
      fc.array(turn, { minLength: 1, maxLength: 3 }),
      fc.nat({ max: 12 }),
      (how, turns, cutAt) => {
        const run = (cut: number): number[][] => {
          let cutter = new FrameCutter(how, spec(how, 2));
          const frames: number[][] = [];
          let value = 1;
          for (const { own, parts } of turns) {
            const inputs = [own, ...parts].map((items) => {
              const array = Float32Array.from({ length: 2 * (items ?? 0) }, () => value++);
              return items === null ? undefined : tensorOf('x', array, [2, items]);
            });
            const send = (taken: number): void => {
              inputs.forEach((tensor, index) => {
                if (tensor !== undefined && (index === 0 || index > taken))
                  cutter.add(tensor, index - 1);
              });
              cutter.finish();
            };
            send(0);
            for (;;) {
              // What was used up of a turn is saved while there is more of it.
              if (frames.length === cut && cutter.ready) {
                const { seen, carried, kept } = cutter.save();
                const used = cutter.used;
                cutter = new FrameCutter(how, spec(how, 2));
                const [a, b] = [carried, kept].map((one) => Buffer.from(bytesOf(one)));
                cutter.restore({ seen, carried: a as Buffer, kept: b as Buffer }, used);
                cut = -1;
                send(used.partsTaken);
                continue;
              }
              if (!cutter.ready) break;
              const filled = new Float32Array(2 * (how.carry + how.frame));
              cutter.fill(filled);
              frames.push([...filled]);
              cutter.advance(filled);
            }
            cutter.endTurn(true);
          }
          return frames;
        };
        expect(run(cutAt)).toEqual(run(-1));
      },
    ),
    { numRuns: 1000 },
  );
});
