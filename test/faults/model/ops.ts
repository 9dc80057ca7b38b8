/** Everything that can happen, as fast-check draws it. */
import fc from 'fast-check';
import type { Script } from './script';

export type Op =
  /** One message on each way, and one step of each engine, so many times. */
  | { readonly op: 'flow'; readonly count: number }
  /** Messages of one call, in one direction, overtake all others. */
  | { readonly op: 'deliver'; readonly at: number; readonly count: number }
  /** A connection breaks; its ends hear of it when that is delivered. */
  | { readonly op: 'lose'; readonly at: number }
  /** A call comes to its hoster once more. */
  | { readonly op: 'duplicate'; readonly at: number }
  /** Nothing passes between a process and a hoster for a time. */
  | { readonly op: 'cut'; readonly who: number; readonly where: number; readonly ms: number }
  | { readonly op: 'read' | 'write'; readonly who: number; readonly count: number }
  /** `late`: before reading what main has sent. */
  | { readonly op: 'step'; readonly where: number; readonly count: number; readonly late: boolean }
  /** An engine dies with its state, and the next one comes after a time. */
  | { readonly op: 'killEngine'; readonly where: number; readonly ms: number }
  /** A hoster dies with all that it has, and is back after a time. */
  | { readonly op: 'kill'; readonly where: number; readonly ms: number }
  /** It wants to go. */
  | { readonly op: 'drain'; readonly where: number; readonly ms: number }
  /** It is told to end by that time, and is started again. */
  | { readonly op: 'stop'; readonly where: number; readonly ms: number }
  /** The application writes down how to go on from here. */
  | { readonly op: 'save'; readonly session: number }
  /** Another process goes on: the one before lets go, knows nothing of it, or is dead. */
  | {
      readonly op: 'move';
      readonly session: number;
      readonly how: 'detach' | 'stale' | 'kill';
    }
  | { readonly op: 'advance'; readonly ms: number };

const any = fc.nat({ max: 1000 });
const where = fc.nat({ max: 1 });
const few = fc.integer({ min: 1, max: 6 });

const ops: fc.Arbitrary<Op> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ op: fc.constant('flow' as const), count: few }) },
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constantFrom('read' as const, 'write' as const),
      who: any,
      count: few,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant('deliver' as const), at: any, count: few }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('step' as const),
      where,
      count: few,
      late: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('lose' as const, 'duplicate' as const),
      at: any,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 20, 100, 400, 1100, 4000, 11_000, 70_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('cut' as const),
      who: any,
      where,
      ms: fc.constantFrom(50, 500, 20_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom('kill' as const, 'killEngine' as const),
      where,
      ms: fc.constantFrom(0, 1, 300, 5000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom('drain' as const, 'stop' as const),
      where,
      ms: fc.constantFrom(1, 300, 5000, 30_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('save' as const), session: any }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('move' as const),
      session: any,
      how: fc.constantFrom('detach' as const, 'stale' as const, 'kill' as const),
    }),
  },
);

export const schedule = fc.array(ops, { maxLength: 150, size: 'max' });

/** Sessions have values of their own, so that nothing of one can pass for the other's. */
export function scripts(sessions: number): fc.Arbitrary<readonly Script[]> {
  const script = (index: number): fc.Arbitrary<Script> => {
    const value = fc.integer({ min: index * 100, max: index * 100 + 99 });
    const part = (max: number) => fc.array(value, { minLength: 1, maxLength: max });
    const turn = fc.oneof(
      part(20).map((values) => ({ live: false, parts: [values] })),
      fc.array(part(2), { maxLength: 10 }).map((parts) => ({ live: true, parts })),
    );
    return fc.array(turn, { minLength: 1, maxLength: 4 });
  };
  return fc.tuple(...Array.from({ length: sessions }, (_, index) => script(index)));
}
