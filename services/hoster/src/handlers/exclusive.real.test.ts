/** Sessions of a module that takes one at a time, over real sockets and a real engine. Needs a build. */
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { float32Of, fromWire } from '@cabstand/tensor';
import { refusalOf } from '@cabstand/testing';
import { epoch, hear, uniqueId, until } from './harness.fixture';
import type { Harness, Heard } from './harness.fixture';
import { ServedModules } from './modules.fixture';

/** Counts, says what it finds of the session before, and cleans up slowly. Every tenth frame is a key. */
const RIDE = `
const left: any = { seen: [] };
export default class Ride {
  static async load(env: any) { return new Ride(env.Tensor); }
  static commands = {
    tell: { handle: (ctx: any, args: any) => { ctx.state.told = args; return { ok: true }; } },
  };
  constructor(private Tensor: any) {}
  newState() { return { i: 0, told: null }; }
  async startSession(ctx: any) {
    await ctx.send('found', { told: ctx.state.told, i: ctx.state.i, dirty: left.dirty ?? false });
    left.dirty = true;
    const big = new Float32Array(ctx.parameters.size);
    while (!ctx.shouldStop() && ctx.state.i < ctx.parameters.frames) {
      await ctx.checkpoint();
      await ctx.idle(ctx.parameters.pace);
      big[0] = ctx.state.i;
      const y = new this.Tensor('float32', big, [big.length]);
      await ctx.emit({ y }, { key: ctx.state.i % 10 === 0 });
      ctx.state.i += 1;
    }
  }
  async endSession() {
    await new Promise((resolve) => setTimeout(resolve, 100));
    left.dirty = false;
  }
}
`;

const MANIFEST = `
kind: module
sessions: exclusive
survival: none
messages: { found: { type: object } }
outputs: { y: { dtype: float32, shape: [n] } }
parameters:
  frames: { dtype: int64, shape: [], default: 1000000 }
  pace: { dtype: int64, shape: [], default: 5 }
  size: { dtype: int64, shape: [], default: 4 }
limits: { stop_grace_seconds: 2 }
`;

const STEADY = { frames: 1_000_000, pace: 5, size: 4 };

jest.setTimeout(15_000);

let served: ServedModules;
let harness: Harness;

beforeAll(async () => {
  const engines = { restartMs: 20, spares: 1 };
  served = await ServedModules.start({ ride: MANIFEST }, RIDE, engines, { orphanMinMs: 50 });
  ({ harness } = served);
  expect(served.host.models().map(({ status }) => status)).toEqual([{ state: 'ready' }]);
}, 60_000);
afterEach(() => served.empty());
afterAll(() => served.stop());

const numbersOf = ({ records }: Heard): number[] =>
  records.flatMap(({ chunk }) => {
    const output = chunk?.outputs[0];
    return output === undefined ? [] : [float32Of(fromWire(output))[0] ?? NaN];
  });
const endOf = ({ records }: Heard) => records.at(-1)?.end_of_turn;
const foundBy = ({ records }: Heard): unknown =>
  records.flatMap(({ message }) => (message ? [JSON.parse(message.json) as unknown] : []))[0];
const frames =
  (count: number) =>
  (heard: Heard): boolean => {
    const error = endOf(heard)?.error;
    if (error) throw new Error(`the ride failed: ${error.reason} ${error.message}`);
    return numbersOf(heard).length >= count;
  };

/** A session whose turn has begun, on a stream of its own. */
async function riding(parameters: object = {}, durable = true) {
  const session_id = uniqueId();
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, epoch: epoch(), durable, model: 'ride' } });
  await stream.send({
    turn: { turn: 0, input: { parameters: JSON.stringify({ ...STEADY, ...parameters }) } },
  });
  return { session_id, stream };
}

async function attach(session_id: string, more: v1.Attach) {
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  await stream.send({ attach: { session_id, ...more } });
  return stream;
}

describe('a new client with a higher epoch', () => {
  test.each([true, false])(
    'takes over while frames flow, and the author notices nothing (durable: %s)',
    async (durable) => {
      const pace = 20;
      const { session_id, stream } = await riding({ pace }, durable);
      const first: Heard = { notices: [], records: [] };
      let enough: () => void = () => undefined;
      const five = new Promise<void>((resolve) => (enough = resolve));
      const reading = refusalOf(
        (async () => {
          for await (const { record } of stream.responses) {
            if (record) first.records.push(record);
            if (numbersOf(first).length === 5) enough();
          }
        })(),
      );
      await five;
      const had = first.records.length;
      const before = performance.now();
      const second = await attach(session_id, {
        epoch: epoch(2, Buffer.alloc(16, 2)),
        from_position: durable ? had : -1,
      });
      let firstFrameMs = Infinity;
      const heard = await hear(second.responses, (so_far) => {
        if (so_far.records.length === 1) firstFrameMs = performance.now() - before;
        return frames(20)(so_far);
      });
      const fenced = await reading;
      expect(fenced.reason).toBe('EPOCH_FENCED');
      expect(fenced.metadata).toMatchObject({ epoch: '1', current_epoch: '2' });
      // Nobody is stopped in mid-ride: the same session counts on.
      const [at = -1] = numbersOf(heard);
      expect(numbersOf(heard)).toEqual(Array.from({ length: 20 }, (_, i) => at + i));
      const together = [...first.records.slice(0, had), ...heard.records];
      if (durable) expect(together.map(({ position }) => position)).toEqual([...together.keys()]);
      // A frame takes 20 ms; connecting and a loaded machine take some, too.
      expect(firstFrameMs).toBeLessThan(1000);
    },
  );
});

describe('the next session', () => {
  test('sees nothing of the last, whose code has come to its end', async () => {
    const { stream } = await riding({}, false);
    const update = { sequence: 0, name: 'tell', arguments: '{"secret":1}' };
    await stream.send({ command: update });
    const heard = await hear(stream.responses, ({ records }) => records.some((one) => one.result));
    expect(foundBy(heard)).toEqual({ told: null, i: 0, dirty: false });
    // The stream was left: its session is over, and its code has 100 ms to clean up.
    const next = await riding({ frames: 2 }, false);
    const then = await hear(next.stream.responses);
    expect(foundBy(then)).toEqual({ told: null, i: 0, dirty: false });
    expect(numbersOf(then)).toEqual([0, 1]);
  });

  test('is refused while the last one rides, and told why', async () => {
    const first = await riding();
    await until(() => harness.sessions.knows(first.session_id, 'alice'));
    const next = await riding();
    const { reason, metadata } = await refusalOf(hear(next.stream.responses));
    expect(reason).toBe('HOSTER_FULL');
    expect(metadata).toMatchObject({ exclusive: 'true', queue_position: '1' });
  });

  test('gets the place of one that nobody reads', async () => {
    const first = await riding();
    await hear(first.stream.responses, frames(2));
    await until(() => {
      const { state, since } = harness.sessions.find(first.session_id, 'alice');
      return state === 'orphaned' && performance.now() - since > 60;
    });
    const next = await riding({ frames: 2 });
    const then = await hear(next.stream.responses, (heard) => endOf(heard) !== undefined);
    expect(foundBy(then)).toEqual({ told: null, i: 0, dirty: false });
    // What is left of the first is there for who comes back.
    const back = await attach(first.session_id, { epoch: epoch(), from_position: 0 });
    const rest = await hear(back.responses, (heard) => endOf(heard) !== undefined);
    expect(endOf(rest)?.reason).toBe('END_REASON_EVICTED');
  });
});

describe('a viewer', () => {
  const watching = (session_id: string) => attach(session_id, { role: 'ATTACH_ROLE_VIEWER' });

  test('begins at a key, sees frames, messages and the end, and says nothing', async () => {
    const { session_id, stream } = await riding({ frames: 60 });
    const reading = hear(stream.responses, (heard) => endOf(heard) !== undefined);
    await until(() => harness.sessions.knows(session_id, 'alice'));
    await until(() => harness.sessions.find(session_id, 'alice').position > 15);
    const viewer = await watching(session_id);
    const seen: Heard = { notices: [], records: [] };
    let closed: v1.Closed__Output | undefined;
    for await (const response of viewer.responses) {
      if (response.notice) seen.notices.push(response.notice);
      if (response.record) seen.records.push(response.record);
      closed = response.closed ?? closed;
      const { record } = response;
      if (record?.end_of_turn)
        await harness.client().unary(HosterService.rpc_session_update, {
          ...{ session_id, epoch: epoch(), ack: { position: record.position } },
        });
    }
    const all = await reading;
    const [from = -1] = numbersOf(seen);
    expect(from % 10).toBe(0);
    expect(seen.records.map(({ position }) => position)).toEqual(
      all.records.map(({ position }) => position).slice(-seen.records.length),
    );
    expect(endOf(seen)?.reason).toBe('END_REASON_COMPLETED');
    expect(closed?.reason).toBe('END_REASON_COMPLETED');
  });

  test('that stands still costs the session nothing', async () => {
    const { session_id, stream } = await riding({ frames: 300, pace: 1, size: 50_000 });
    await until(() => harness.sessions.knows(session_id, 'alice'));
    const still = await watching(session_id);
    await until(() => harness.sessions.find(session_id, 'alice').viewers === 1);
    // 60 MB: far more than a connection takes without a reader.
    const all = await hear(stream.responses, (heard) => {
      const last = heard.records.at(-1);
      if (last && last.position % 8 === 0)
        void stream.send({ ack: { position: last.position } }).catch(() => undefined);
      return endOf(heard) !== undefined;
    });
    expect(numbersOf(all)).toHaveLength(300);
    const seen = await hear(still.responses, (heard) => endOf(heard) !== undefined);
    const skipped = seen.notices.reduce((sum, one) => sum + (one.skipped?.records ?? 0), 0);
    expect(skipped).toBeGreaterThan(50);
    const positions = seen.records.map(({ position }) => position);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect((positions.at(-1) ?? 0) - (positions[0] ?? 0) + 1).toBe(positions.length + skipped);
  });

  test('is refused where it says something, and where there is nothing to see', async () => {
    const { session_id, stream } = await riding();
    await hear(stream.responses, frames(1));
    const viewer = await watching(session_id);
    await viewer.send({ ack: { position: 0 } });
    expect((await refusalOf(hear(viewer.responses))).reason).toBe('INVALID_ARGUMENT');
    expect(harness.sessions.find(session_id, 'alice').viewers).toBe(0);
    const nowhere = await watching('nothing-here');
    expect((await refusalOf(hear(nowhere.responses))).reason).toBe('SESSION_UNKNOWN');
  });
});
