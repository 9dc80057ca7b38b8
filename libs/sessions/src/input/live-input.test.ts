import fc from 'fast-check';
import type { FramedInput } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import { LiveInput } from './live-input';
import { attach, bench, content, open, reasonOf } from '../session-bench.fixture';

describe('live input of a session', () => {
  it('numbers live input: takes each part once, refuses gaps, says what was applied', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    const tensors = [tensorOf('x', new Float32Array(4))];
    session.startTurn(0, content('', true));
    session.input(0, 0, tensors, false);
    session.input(0, 0, tensors, false);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    expect(reasonOf(() => session.input(1, 0, tensors, false))).toBe('TURN_OUT_OF_ORDER');
    session.input(0, 1, tensors, true);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    const engine = b.host.model.last;
    expect(engine.inputs.map(({ part }) => part)).toEqual([0, 1]);
    engine.sink.inputTaken(0, 2);
    engine.finish();
    expect(reader.kinds).toBe('iie');
    // Its records say what was applied.
    expect(reader.notices).toEqual([]);
    // Late parts of a turn that is over harm nobody.
    session.input(0, 2, tensors, false);
  });

  it('tells a session whose records do not say it how far its input is used up', async () => {
    const b = bench();
    const session = await open(b, { retention: 'call' });
    const reader = attach(session);
    session.startTurn(0, content('', true));
    session.input(0, 0, [tensorOf('x', new Float32Array(4))], true);
    b.host.model.last.sink.inputTaken(0, 1);
    expect(reader.notices).toEqual([{ kind: 'accepted', turn: 0, nextInput: 1 }]);
  });

  it('makes a sender of live input wait, but never for what only its own acknowledgement frees', async () => {
    const b = bench({ liveParts: 2, journalRecords: 4 });
    const session = await open(b);
    attach(session);
    session.startTurn(0, content('', true));
    const engine = b.host.model.last;
    session.input(0, 0, [], false);
    expect(session.inputRoom()).toBeUndefined();
    session.input(0, 1, [], false);
    let woken = false;
    void session.inputRoom()?.then(() => (woken = true));
    await b.clock.advance(0);
    expect(woken).toBe(false);
    engine.sink.inputTaken(0, 1);
    await b.clock.advance(0);
    expect(woken).toBe(true);
    session.input(0, 2, [], false);
    expect(session.inputRoom()).toBeDefined();
    while (engine.step());
    expect(session.inputRoom()).toBeUndefined();
    expect(reasonOf(() => session.input(0, 3, [], false))).toBe('LIMIT_EXCEEDED');
  });
});

const framedBy = (frame: number, hop = frame): FramedInput => ({
  input: 'x',
  axis: 0,
  frame,
  hop,
  carry: 0,
  carryValue: 0,
  remainder: 'drop',
  formats: ['float32'],
});

const part = (number: number, items: number) => ({
  part: number,
  tensors: [tensorOf('x', new Float32Array(items))],
  last: false,
});

describe('frames of many parts', () => {
  it('more parts may wait, and are asked for, as long as a frame needs them', () => {
    const live = new LiveInput({ parts: 4, bytes: 1e6, keep: true }, [framedBy(20)]);
    for (let number = 0; number < 20; number++) {
      expect(live.hasRoom).toBe(true);
      live.accept(part(number, 1));
      expect(live.unsent?.part).toBe(number);
      live.markSent();
    }
    expect(live.wanted).toBe(20);
    // Twenty behind the first make a frame for sure: what waits now is bounded as ever.
    live.accept(part(20, 1));
    live.markSent();
    expect([live.hasRoom, live.wanted, live.sendsNext]).toEqual([false, undefined, false]);
    live.take(20);
    expect([live.hasRoom, live.stuck]).toEqual([true, false]);
  });

  it('a frame of more parts than can wait is refused with the numbers', () => {
    const live = new LiveInput({ parts: 2, bytes: 1e6, keep: false }, [framedBy(500)]);
    for (let number = 0; number < 16; number++) live.accept(part(number, 3));
    expect(live.stuck).toBe(true);
    expect(() => {
      live.checkRoom();
    }).toThrow(/a frame of x has 500 items, and the 16 parts that wait hold 48: send larger parts/);
    const big = new LiveInput({ parts: 100, bytes: 1000, keep: false }, [framedBy(5000)]);
    for (let number = 0; number < 5; number++) big.accept(part(number, 100));
    expect(big.stuck).toBe(true);
  });

  it('no sizes of parts make sender and engine wait for each other in silence', () => {
    const scenario = fc.record({
      sizes: fc.array(fc.oneof(fc.constant(2), fc.nat(30)), { minLength: 1, maxLength: 60 }),
      frame: fc.integer({ min: 1, max: 60 }),
      hopShare: fc.double({ min: 0.1, max: 1, noNaN: true }),
      parts: fc.integer({ min: 1, max: 40 }),
      bytes: fc.integer({ min: 1, max: 500 }),
      // Parts that the client lets be on their way, and how many are on it before the engine is as far.
      window: fc.integer({ min: 4, max: 8 }),
      burst: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(scenario, ({ sizes, frame, hopShare, parts, bytes, window, burst }) => {
        const hop = Math.max(1, Math.floor(frame * hopShare));
        const live = new LiveInput({ parts, bytes, keep: false }, [framedBy(frame, hop)]);
        let heard = 0;
        const engine = { got: 0, ends: [] as number[], start: 0 };
        for (let number = 0; number < sizes.length;) {
          if (live.stuck) return;
          const before = [number, live.next, live.taken, engine.got].join();
          for (let i = 0; i < burst && live.hasRoom && number < sizes.length; i++) {
            if (number - Math.max(live.taken, heard) >= window) break;
            live.accept(part(number, sizes[number++]!));
            heard = live.wanted ?? heard;
          }
          for (let next = live.unsent; next !== undefined; next = live.unsent) {
            engine.got += sizes[next.part]!;
            engine.ends.push(engine.got);
            live.markSent();
          }
          // As the cutter: a part is used up when the window has moved past it.
          while (engine.got - engine.start >= frame) engine.start += hop;
          if (engine.start > 0) live.take(engine.ends.filter((end) => end <= engine.start).length);
          heard = live.wanted ?? heard;
          expect([number, live.next, live.taken, engine.got].join()).not.toBe(before);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
