/** Sessions of modules over real sockets and real engines. Needs a build. */
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ServedModel } from '@cabstand/sessions';
import { float32Of, fromWire } from '@cabstand/tensor';
import { refusalOf } from '@cabstand/testing';
import { epoch, hear, uniqueId, until } from './harness.fixture';
import type { Harness, Heard } from './harness.fixture';
import { ServedModules } from './modules.fixture';

/** Counts: [number, sum of what commands added, chance from the seed, recorded chance]. */
const COUNTER = `
const ADD = {
  type: 'object', properties: { by: { type: 'integer' } }, required: ['by'], additionalProperties: false,
};
export default class Counter {
  static async load(env: any) {
    if (env.config.broken) throw new Error('cannot open ' + env.folder + '/weights.bin');
    return new Counter(env.Tensor);
  }
  static commands = {
    add: { arguments: ADD, handle: (ctx: any, { by }: any) => {
      if (by < 0) throw Object.assign(new Error('only more'), { name: 'CommandError', code: 'less' });
      ctx.state.sum += by;
      return { sum: ctx.state.sum };
    } },
    readers: { handle: (ctx: any) => ctx.record('readers', () => ctx.readers) },
  };
  constructor(private Tensor: any) {}
  newState() { return { i: 0, sum: 0 }; }
  async startSession(ctx: any) {
    const { state, parameters } = ctx;
    while (!ctx.shouldStop() && state.i < parameters.frames) {
      await ctx.checkpoint();
      if (state.i === parameters.throw_at) throw new Error('cannot open ' + __filename);
      await ctx.idle(parameters.pace);
      const noise = await ctx.record('noise', () => Math.random());
      const y = Float32Array.of(state.i, state.sum, ctx.random(), noise);
      await ctx.emit({ y: new this.Tensor('float32', y, [4]) });
      if (state.i % 5 === 4) await ctx.send('fives', { i: state.i });
      ctx.notify('level', state.i);
      state.i += 1;
    }
  }
}
`;

const manifestOf = (survival: string, more = ''): string => `
kind: module
survival: ${survival}
messages: { fives: { type: object } }
outputs: { y: { dtype: float32, shape: [4] } }
parameters:
  frames: { dtype: int64, shape: [], default: 3 }
  pace: { dtype: int64, shape: [], default: 5 }
  throw_at: { dtype: int64, shape: [], default: -1 }
limits: { stop_grace_seconds: 1 }
${more}
`;

const STEADY = { pace: 5, throw_at: -1 };

jest.setTimeout(15_000);

let served: ServedModules;
let harness: Harness;

beforeAll(async () => {
  const manifests = {
    plain: manifestOf('none'),
    replaying: manifestOf('replay'),
    committing: manifestOf('commit'),
    alone: manifestOf('none', 'sessions: exclusive'),
    broken: manifestOf('none', 'config: { broken: true }'),
  };
  const engines = { crashes: 100, restartMs: 20, spares: 1 };
  // A freeze that had to wait for its time to pass would never be over.
  const options = { snapshotMs: 20, freezeMs: 600_000 };
  served = await ServedModules.start(manifests, COUNTER, engines, options);
  ({ harness } = served);
}, 60_000);
afterEach(() => served.empty());
afterAll(() => served.stop());

function instance(name: string): ServedModel & { readonly enginePid?: number | undefined } {
  const found = served.host.models().find((model) => model.name === name);
  if (found === undefined) throw new Error(`no model ${name}`);
  return found;
}

const numbersOf = ({ records }: Heard): number[][] =>
  records.flatMap(({ chunk }) =>
    chunk?.outputs[0] === undefined ? [] : [[...float32Of(fromWire(chunk.outputs[0]))]],
  );
const countsOf = (heard: Heard): (number | undefined)[] => numbersOf(heard).map(([i]) => i);
const upTo = (frames: number): number[] => Array.from({ length: frames }, (_, i) => i);
const endOf = ({ records }: Heard) => records.at(-1)?.end_of_turn;

function inference(model: string, parameters: object, more: v1.InferenceStreamRequest = {}) {
  return harness.client().serverStream(HosterService.rpc_inference_stream, {
    ...{ model, parameters: JSON.stringify({ ...STEADY, ...parameters }), ...more },
  });
}

/** A session of a module on a stream of its own, whose turn has begun. */
async function opened(model: string, parameters: object, durable = true) {
  const session_id = uniqueId();
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, epoch: epoch(), durable, model } });
  const input = { parameters: JSON.stringify({ ...STEADY, ...parameters }) };
  await stream.send({ turn: { turn: 0, input } });
  await until(() => harness.sessions.knows(session_id, 'alice'));
  return { session_id, stream };
}

const chunks =
  (count: number) =>
  ({ records }: Heard): boolean =>
    records.filter(({ chunk }) => chunk).length >= count;
const ended = (heard: Heard): boolean => endOf(heard) !== undefined && endOf(heard) !== null;

test.each(['plain', 'replaying', 'committing'])(
  '%s: a call gets its frames and messages',
  async (model) => {
    const heard = await hear(inference(model, { frames: 6 }));
    expect(countsOf(heard)).toEqual(upTo(6));
    expect(heard.records.map(({ position }) => position)).toEqual([...heard.records.keys()]);
    expect(endOf(heard)).toMatchObject({ reason: 'END_REASON_COMPLETED', note: '' });
    const fifth = heard.records.findIndex(({ message }) => message);
    expect(heard.records[fifth]?.message).toEqual({ name: 'fives', json: '{"i":4}' });
    const [before] = numbersOf({ ...heard, records: heard.records.slice(0, fifth) }).slice(-1);
    expect(before?.[0]).toBe(4);
  },
);

test('notices come to whoever reads, and are no records', async () => {
  const heard = await hear(inference('plain', { frames: 2 }));
  expect(heard.notices.flatMap(({ module }) => module ?? [])).toContainEqual({
    name: 'level',
    json: '0',
    turn: 0,
  });
});

test('what the author throws ends the session, and shows no path', async () => {
  const heard = await hear(inference('plain', { frames: 5, throw_at: 2 }));
  expect(countsOf(heard)).toEqual([0, 1]);
  expect(endOf(heard)).toMatchObject({
    reason: 'END_REASON_ERROR',
    error: { reason: 'MODULE_FAILED' },
  });
  expect(endOf(heard)?.error?.message).toContain('cannot open');
  expect(JSON.stringify(endOf(heard))).not.toContain(served.root);
});

test('a module that cannot be loaded is failed by name, and the others serve', () => {
  const { status } = instance('broken');
  expect(status).toMatchObject({ state: 'failed', error: { reason: 'MODULE_FAILED' } });
  if (status.state !== 'failed') throw new Error('it serves');
  expect(status.error.message).toContain('cannot open');
  expect(status.error.message).not.toContain(served.root);
  expect(instance('plain').status.state).toBe('ready');
});

test('its commands are in the info of the model', async () => {
  const { models } = await harness.client().unary(HosterService.rpc_info, { models: ['alone'] });
  expect(models[0]).toMatchObject({
    survival: 'SURVIVAL_NONE',
    exclusive: true,
    checkpoints: false,
    messages: { fives: '{"type":"object"}' },
  });
  expect(models[0]?.commands).toMatchObject([
    ...[{ name: 'add' }, { name: 'readers' }, { name: 'stop' }],
  ]);
  expect(models[0]?.offer?.capacity).toBe(1);
});

describe('commands', () => {
  const update = (session_id: string, sequence: number, by: number, name = 'add') =>
    harness.client().unary(HosterService.rpc_session_update, {
      ...{ session_id, epoch: epoch() },
      command: { sequence, name, arguments: JSON.stringify({ by }) },
    });

  test('are applied once each, and answered with their result', async () => {
    const { session_id, stream } = await opened('replaying', { frames: 100_000 });
    const reading = hear(stream.responses, ended);
    expect((await update(session_id, 0, 5)).result).toEqual(
      expect.objectContaining({ sequence: 0, value: '{"sum":5}' }),
    );
    await stream.send({ command: { sequence: 1, name: 'add', arguments: '{"by":2}' } });
    const third = await update(session_id, 2, 1);
    expect(third.result).toMatchObject({ value: '{"sum":8}' });
    expect((await update(session_id, 2, 1)).result).toMatchObject({ value: '{"sum":8}' });
    expect((await update(session_id, 3, -1)).result).toMatchObject({
      error: { reason: 'COMMAND_REJECTED', metadata: { code: 'less' } },
    });
    expect((await refusalOf(update(session_id, 2, 9))).reason).toBe('COMMAND_CONFLICT');
    expect((await update(session_id, 4, 0.5)).result?.error?.reason).toBe('COMMAND_INVALID');
    expect((await update(session_id, 5, 1, 'sub')).result?.error?.reason).toBe('COMMAND_UNKNOWN');
    await stream.send({ command: { sequence: 6, name: 'sub', arguments: '{' } });
    await until(() => harness.sessions.find(session_id, 'alice').commands?.applied === 7);
    await stream.send({ cancel_turn: { turn: 0 } });
    const heard = await reading;
    const sequences = heard.records.flatMap(({ applied }) => applied?.sequence ?? []);
    expect(sequences).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(endOf(heard)?.reason).toBe('END_REASON_CANCELLED');
  });

  test('come from beside the consumer, too, without its epoch and its numbers', async () => {
    const { session_id, stream } = await opened('replaying', { frames: 100_000 });
    const reading = hear(stream.responses, ended);
    const beside = (by: number, name = 'add', who = 'alice') =>
      harness.client(who).unary(HosterService.rpc_session_update, {
        ...{ session_id, command: { sequence: -1, name, arguments: JSON.stringify({ by }) } },
      });
    for (const sum of [5, 10])
      expect((await beside(5)).result).toMatchObject({ sequence: -1, value: `{"sum":${sum}}` });
    expect((await beside(-1)).result?.error?.reason).toBe('COMMAND_REJECTED');
    expect((await refusalOf(beside(0.5))).reason).toBe('COMMAND_INVALID');
    expect((await refusalOf(beside(1, 'sub'))).reason).toBe('COMMAND_UNKNOWN');
    expect((await refusalOf(beside(1, 'add', 'bob'))).reason).toBe('SESSION_UNKNOWN');
    await stream.send({ command: { sequence: 0, name: 'add', arguments: '{"by":2}' } });
    await until(() => harness.sessions.find(session_id, 'alice').commands?.applied === 1);
    await stream.send({ cancel_turn: { turn: 0 } });
    const heard = await reading;
    expect(heard.records.flatMap(({ applied }) => applied?.sequence ?? [])).toEqual([
      -1, -1, -1, 0,
    ]);
  });
});

test('its author may see who reads, in the next engine too', async () => {
  const { session_id, stream } = await opened('replaying', { frames: 100_000 });
  const reading = hear(stream.responses, (so_far) => {
    const last = so_far.records.at(-1);
    // A loop that waits for its reader hears no command.
    if (last && last.position % 16 === 0)
      void stream.send({ ack: { position: last.position } }).catch(() => undefined);
    return ended(so_far);
  });
  const readers = async (): Promise<unknown> => {
    const command = { sequence: -1, name: 'readers' };
    const told = { session_id, command };
    const { result } = await harness.client().unary(HosterService.rpc_session_update, told);
    return JSON.parse(result?.value ?? '');
  };
  expect(await readers()).toEqual({ consumer: true, viewers: 0 });
  const viewer = harness.client().bidi(HosterService.rpc_session_stream);
  await viewer.send({ attach: { session_id, role: 'ATTACH_ROLE_VIEWER' } });
  // It shares a connection with the consumer: what nobody reads would use up what that lets through.
  const watched = hear(viewer.responses).catch(() => undefined);
  await until(() => harness.sessions.find(session_id, 'alice').viewers === 1);
  expect(await readers()).toEqual({ consumer: true, viewers: 1 });
  const { enginePid } = instance('replaying');
  process.kill(enginePid ?? 0, 'SIGKILL');
  await until(() => ![undefined, enginePid].includes(instance('replaying').enginePid), 30_000);
  expect(await readers()).toEqual({ consumer: true, viewers: 1 });
  viewer.cancel();
  await watched;
  await until(() => harness.sessions.find(session_id, 'alice').viewers === 0, 20_000);
  expect(await readers()).toEqual({ consumer: true, viewers: 0 });
  await stream.send({ cancel_turn: { turn: 0 } });
  await reading;
}, 60_000);

describe('a stop', () => {
  test('reaches the author, and ends the session with its reason', async () => {
    const { session_id, stream } = await opened('plain', { frames: 100_000 });
    const { reason } = await harness
      .client()
      .unary(HosterService.rpc_close_session, { session_id, epoch: epoch() });
    expect(reason).toBe('END_REASON_STOPPED');
    const heard = await hear(stream.responses, ended);
    expect(endOf(heard)).toMatchObject({ reason: 'END_REASON_STOPPED', error: null });
    await until(() => harness.sessions.status(session_id, 'alice').end !== undefined);
    const status = await harness.client().unary(HosterService.rpc_session_status, { session_id });
    expect(status).toMatchObject({
      ...{ state: 'SESSION_STATE_ENDED', end_reason: 'END_REASON_STOPPED' },
    });
  });

  test.each(['plain', 'replaying', 'committing'])(
    'comes as the command that all models know, answered in one with the end (%s)',
    async (model) => {
      const { session_id, stream } = await opened(model, { frames: 100_000 });
      const reading = hear(stream.responses, ended);
      const stop = (more: object) =>
        harness.client().unary(HosterService.rpc_session_update, {
          ...{ session_id, command: { sequence: -1, name: 'stop', ...more } },
        });
      await until(() => harness.sessions.find(session_id, 'alice').turnRuns);
      expect((await refusalOf(stop({ arguments: '{"now":1}' }))).reason).toBe('COMMAND_INVALID');
      expect(await refusalOf(stop({ turn: 1 }))).toMatchObject({
        ...{ reason: 'COMMAND_REJECTED', metadata: { code: 'no_turn' } },
      });
      expect((await stop({})).result).toMatchObject({ value: '{"stopped":true}' });
      const heard = await reading;
      expect(heard.records.map(({ position }) => position)).toEqual([...heard.records.keys()]);
      expect(heard.records.slice(-3)).toMatchObject([
        { more: true, applied: { sequence: -1, name: 'stop' } },
        { more: true, result: { sequence: -1, value: '{"stopped":true}' } },
        { more: false, end_of_turn: { reason: 'END_REASON_STOPPED', error: null } },
      ]);
    },
  );

  test('comes with the end of a call', async () => {
    const stream = inference('alone', { frames: 100_000 });
    await hear(stream, chunks(2));
    await until(() => instance('alone').openSequences === 0);
    expect(countsOf(await hear(inference('alone', { frames: 2 })))).toEqual([0, 1]);
  });
});

test.each(['replaying', 'committing'])(
  '%s: a session whose author waits is handed over at once, by the state of before',
  async (model) => {
    const { session_id, stream } = await opened(model, { frames: 10, pace: 1_000_000 });
    const reading = hear(stream.responses).catch((error: unknown) => CabstandError.from(error));
    const { checkpoint } = await harness.client().unary(HosterService.rpc_session_update, {
      ...{ session_id, epoch: epoch(), handover: {} },
    });
    expect(checkpoint?.position).toBe(0);
    expect(await reading).toMatchObject({ reason: 'SESSION_EVICTED' });
  },
);

describe('when the engine dies', () => {
  function kill(model: string): void {
    const { enginePid } = instance(model);
    if (enginePid === undefined) throw new Error('no engine');
    process.kill(enginePid, 'SIGKILL');
  }

  async function throughDeaths(model: string, frames: number): Promise<Heard> {
    const { session_id, stream } = await opened(model, { frames, pace: 10 });
    let killed = 0;
    const heard = await hear(stream.responses, (so_far) => {
      const last = so_far.records.at(-1);
      if (last && last.position % 16 === 0)
        void stream.send({ ack: { position: last.position } }).catch(() => undefined);
      if (chunks(8 * (killed + 1))(so_far) && killed < 2 && !ended(so_far)) {
        killed++;
        kill(model);
      }
      return ended(so_far);
    });
    expect(killed).toBe(2);
    expect(heard.records.map(({ position }) => position)).toEqual([...heard.records.keys()]);
    expect(harness.sessions.find(session_id, 'alice').position).toBe(heard.records.length);
    return heard;
  }

  test('a module that replays goes on as if nothing had happened', async () => {
    const heard = await throughDeaths('replaying', 40);
    expect(countsOf(heard)).toEqual(upTo(40));
    expect(endOf(heard)?.reason).toBe('END_REASON_COMPLETED');
    // What was recorded is what was emitted, through all lives.
    const recorded = heard.records.flatMap(({ recorded: value }) =>
      value === null || value === undefined ? [] : [Math.fround(Number(value.json))],
    );
    expect(numbersOf(heard).map(([, , , noise]) => noise)).toEqual(recorded);
  });

  test('a module that commits goes on from what its consumer has', async () => {
    const heard = await throughDeaths('committing', 40);
    expect(countsOf(heard)).toEqual(upTo(40));
    expect(endOf(heard)?.reason).toBe('END_REASON_COMPLETED');
  });

  test('a session of one that survives none is lost by name', async () => {
    const { stream } = await opened('plain', { frames: 100_000, pace: 10 });
    let killed = false;
    const error = await refusalOf(
      hear(stream.responses, (so_far) => {
        // Notices come as well, with no further record.
        if (so_far.records.length === 3 && !killed) {
          killed = true;
          kill('plain');
        }
        return false;
      }),
    );
    expect(error.reason).toBe('SESSION_LOST');
    expect(error.metadata).toMatchObject({ problem: 'no_survival' });
    await until(() => instance('plain').status.state === 'ready');
  });
});
