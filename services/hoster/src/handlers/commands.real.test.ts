/** Commands that are too many, too large or no good, over real sockets and real engines. Needs a build. */
import { HosterService } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { refusalOf } from '@cabstand/testing';
import { epoch, hear, uniqueId, until } from './harness.fixture';
import type { Harness } from './harness.fixture';
import { ServedModules } from './modules.fixture';

const KIB = 1024;
const COMMAND_BYTES = 1000;

/** Draws as fast as its reader takes it, or waits; its command answers as much as it is asked for. */
const ANSWERER = `
export default class Answerer {
  static load(env: any) { return new Answerer(env.Tensor); }
  static commands = {
    say: {
      arguments: {
        type: 'object', properties: { bytes: { type: 'integer' } }, required: ['bytes'],
        additionalProperties: false,
      },
      handle: (ctx: any, { bytes }: any) => {
        ctx.state.said += 1;
        return 'x'.repeat(bytes);
      },
    },
    any: { handle: () => 'any' },
    stay: {
      async handle(ctx: any) {
        while (!ctx.shouldStop()) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    },
  };
  constructor(private Tensor: any) {}
  newState() { return { said: 0 }; }
  async startSession(ctx: any) {
    for (let kept = 0; !ctx.shouldStop(); ) {
      if (ctx.state.said - kept >= ctx.parameters.every) {
        await ctx.checkpoint();
        kept = ctx.state.said;
      }
      if (ctx.parameters.draws > 0)
        await ctx.emit({ y: new this.Tensor('float32', new Float32Array(1000), [1000]) });
      else await ctx.idle();
    }
  }
}
`;

const manifestOf = (survival: string, limits = ''): string => `
kind: module
survival: ${survival}
outputs: { y: { dtype: float32, shape: [1000] } }
parameters:
  draws: { dtype: int64, shape: [], default: 0 }
  every: { dtype: int64, shape: [], default: 0 }
limits: { command_bytes: ${COMMAND_BYTES}, stop_grace_seconds: 1${limits} }
`;

const OPTIONS = {
  ...{ journalRecords: 64, journalBytes: 512 * KIB },
  ...{ journalCommands: 16, journalCommandBytes: 256 * KIB },
};
/** Of 60,000 bytes: the journal has room for 13, and the buffers of the connection for some more. */
const MOST_RESULTS = 60;

type Call = BidiStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;

jest.setTimeout(30_000);

let served: ServedModules;
let harness: Harness;

beforeAll(async () => {
  const manifests = {
    plain: manifestOf('none'),
    replaying: manifestOf('replay'),
    committing: manifestOf('commit'),
    sparing: manifestOf('commit', ', uncommitted_records: 1000'),
    few: manifestOf('replay', ', commands_waiting: 2'),
  };
  served = await ServedModules.start(manifests, ANSWERER, { spares: 0 }, OPTIONS);
  ({ harness } = served);
}, 60_000);
afterEach(() => served.empty());
afterAll(() => served.stop());

async function opened(model: string, durable = true, draws = 0, every = 0) {
  const session_id = uniqueId();
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, epoch: epoch(), durable, model } });
  await stream.send({ turn: { turn: 0, input: { parameters: JSON.stringify({ draws, every }) } } });
  await until(() => harness.sessions.knows(session_id, 'alice'));
  return { session_id, stream, session: harness.sessions.find(session_id, 'alice') };
}

const say = (sequence: number, bytes: number): v1.SessionStreamRequest => ({
  command: { sequence, name: 'say', arguments: JSON.stringify({ bytes }) },
});

/** Sends until nobody reads any more. */
async function flood(stream: Call, bytes: number): Promise<void> {
  for (let sequence = 0; ; sequence++) await stream.send(say(sequence, bytes));
}

describe.each(['plain', 'replaying', 'committing'])('%s', (model) => {
  test.each([true, false])(
    'durable %s: who sends commands and reads nothing is held back, and nobody else',
    async (durable) => {
      const { stream, session } = await opened(model, durable, 1);
      const flooding = flood(stream, 60_000).catch((error: unknown) => error);
      const { commands } = session;
      const refused = () => session.state !== 'streaming';
      // What is kept for its reader is in the way, which stays so. Commands at the module make room for a moment each.
      const heldBack = () =>
        until(() => refused() || (commands?.hasRoom === false && commands.waitsForReader), 20_000);
      await heldBack();
      const { journalBytes, journalCommandBytes } = OPTIONS;
      // Another one of the same model is served while it stands.
      const other = await opened(model);
      await other.stream.send(say(0, 60_000));
      const { records } = await hear(other.stream.responses, ({ records: all }) =>
        all.some(({ result }) => result),
      );
      expect(records.at(-1)?.result?.value).toHaveLength(60_002);
      await heldBack();
      expect(commands?.next).toBeLessThan(64 + MOST_RESULTS);
      // Beyond it the last record of each side, and what a group that is committed at once brings along.
      expect(session.journal.bytes).toBeLessThanOrEqual(
        journalBytes + journalCommandBytes + 2 * 70_000,
      );
      if (refused()) {
        // Only an acknowledgement could make room, and it would come behind commands that are not read.
        expect(durable).toBe(true);
        expect(await refusalOf(hear(stream.responses, () => false))).toMatchObject({
          reason: 'RATE_LIMITED',
          metadata: { limited_by: 'commands_waiting' },
        });
      }
      stream.cancel();
      await flooding;
    },
  );
});

describe('what is asked for behind commands for which there is no room', () => {
  /** Holds back the stream: a handler runs, and no more commands may wait. */
  async function held(): Promise<Call> {
    const { stream, session } = await opened('few');
    await stream.send({ command: { sequence: 0, name: 'stay' } });
    for (let sequence = 1; sequence < 20; sequence++) await stream.send(say(sequence, 1));
    await until(() => session.commands?.hasRoom === false);
    return stream;
  }

  test.each<[string, v1.SessionStreamRequest, string]>([
    ['a stop', { command: { sequence: -1, name: 'stop' } }, 'END_REASON_STOPPED'],
    ['a cancel', { cancel_turn: { turn: 0 } }, 'END_REASON_CANCELLED'],
  ])('%s is heeded', async (_, request, reason) => {
    const stream = await held();
    await stream.send(request);
    const { records } = await hear(stream.responses, ({ records: all }) =>
      all.some(({ end_of_turn: end }) => end),
    );
    expect(records.at(-1)?.end_of_turn?.reason).toBe(reason);
    stream.cancel();
  });

  test('a stop alone needs none', async () => {
    const { stream, session } = await opened('few');
    await stream.send({ command: { sequence: 0, name: 'stay' } });
    for (let sequence = 1; sequence < 3; sequence++) await stream.send(say(sequence, 1));
    await until(() => session.commands?.hasRoom === false);
    await stream.send({ command: { sequence: -1, name: 'stop' } });
    const { records } = await hear(stream.responses, ({ records: all }) =>
      all.some(({ end_of_turn: end }) => end),
    );
    expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_STOPPED');
    stream.cancel();
  });
});

/** Reads, and sends 32 at a time, until it has the results of `most`. */
async function converse(stream: Call, most: number, bytes: number): Promise<number> {
  let sent = 0;
  let results = 0;
  let acknowledged = -1;
  while (sent < 32) await stream.send(say(sent++, bytes));
  for await (const { record } of stream.responses) {
    if (!record) continue;
    if (record.result) {
      results++;
      if (sent < most) await stream.send(say(sent++, bytes));
      if (results === most) break;
    }
    if (record.more || record.position < acknowledged + 8) continue;
    acknowledged = record.position;
    await stream.send({ ack: { position: acknowledged } });
  }
  return results;
}

test.each([
  [16, 1],
  [40, 1],
  [64, 1],
  [16, 60_000],
])(
  'one who commits after each %i commands, with %i bytes each, is given them',
  async (every, bytes) => {
    const { stream } = await opened('sparing', true, 0, every);
    for (let sequence = 0; sequence < every; sequence++) await stream.send(say(sequence, bytes));
    const { records } = await hear(
      stream.responses,
      ({ records: all }) => all.filter(({ result }) => result).length === every,
    );
    expect(records).toHaveLength(2 * every);
    stream.cancel();
  },
);

test.each([
  ['plain', 0],
  ['replaying', 0],
  ['committing', 0],
  ['replaying', 1],
])('%s, draws %d: who reads and acknowledges gets all results', async (model, draws) => {
  const { stream } = await opened(model, true, draws);
  expect(await converse(stream, 200, 50_000)).toBe(200);
  stream.cancel();
});

test('an author who waits in emit still hears of commands, and of a stop', async () => {
  const { session, session_id, stream } = await opened('replaying', true, 1);
  await until(() => session.credit.records <= 0 || session.credit.bytes <= 0);
  const client = harness.client();
  const update = (command: v1.Command) =>
    client.unary(HosterService.rpc_session_update, { session_id, epoch: epoch(), command });
  for (let sequence = 0; sequence < 2; sequence++) {
    const { result } = await update({ sequence, name: 'any', arguments: '{}' });
    expect(result?.value).toBe('"any"');
  }
  // Fills the room that commands have of their own. Those that wait are answered with the end of the session.
  const waiting: Promise<unknown>[] = [];
  for (let sequence = 2; session.commands?.hasRoom === true; sequence++) {
    const told = update({ sequence, name: 'say', arguments: '{"bytes":60000}' });
    waiting.push(told.catch((error: unknown) => error));
    await until(() => session.commands?.next === sequence + 1);
  }
  const { next = 0 } = session.commands ?? {};
  expect(await refusalOf(update({ sequence: next, name: 'any', arguments: '{}' }))).toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'RATE_LIMITED',
    metadata: { limited_by: 'commands_waiting' },
    retryAfterMs: 500,
  });
  expect(await update({ sequence: 0, name: 'stop', arguments: '' })).toMatchObject({
    result: { value: '{"stopped":true}' },
  });
  session.abort({ reason: 'stopped' });
  expect(waiting.length).toBeGreaterThanOrEqual(64);
  stream.cancel();
  await Promise.all(waiting);
});

const BAD: readonly [string, v1.Command, string, object][] = [
  [
    'too large',
    { name: 'any', arguments: JSON.stringify('é'.repeat(COMMAND_BYTES)) },
    'COMMAND_INVALID',
    { field: 'arguments', expected: `at most ${COMMAND_BYTES} bytes (limits.command_bytes)` },
  ],
  [
    'much too large',
    { name: 'any', arguments: JSON.stringify('x'.repeat(1_000_000)) },
    'COMMAND_INVALID',
    { field: 'arguments', value: `more than ${COMMAND_BYTES} bytes` },
  ],
  ['no JSON', { name: 'any', arguments: '{' }, 'COMMAND_INVALID', { expected: 'JSON' }],
  [
    'nested too deep',
    { name: 'any', arguments: '['.repeat(200) + ']'.repeat(200) },
    'COMMAND_INVALID',
    { expected: 'at most 100 in one another' },
  ],
  ['of a long name', { name: 'n'.repeat(100_000), arguments: '{}' }, 'COMMAND_UNKNOWN', {}],
  ['unknown', { name: 'sya', arguments: '{}' }, 'COMMAND_UNKNOWN', {}],
  ['without a name', { name: '', arguments: '{}' }, 'COMMAND_UNKNOWN', {}],
  ['of other arguments', { name: 'say', arguments: '{"b":1}' }, 'COMMAND_INVALID', {}],
];

describe.each(BAD)('a command that is %s', (_, command, reason, metadata) => {
  test.each([
    ['plain', true],
    ['plain', false],
    ['replaying', true],
    ['committing', true],
  ])('is answered on the stream of %s (durable %s), which goes on', async (model, durable) => {
    const { stream } = await opened(model, durable);
    await stream.send({ command: { ...command, sequence: 0 } });
    // It is the same one when it is sent again.
    await stream.send({ command: { ...command, sequence: 0 } });
    await stream.send({ command: { sequence: 1, name: 'any', arguments: '{}' } });
    const { records } = await hear(
      stream.responses,
      ({ records: all }) => all.filter(({ result }) => result).length === 2,
    );
    const [bad, good] = records.flatMap(({ result }) => result ?? []);
    expect(bad).toMatchObject({ sequence: 0, error: { reason, metadata } });
    expect(good).toMatchObject({ sequence: 1, value: '"any"' });
    stream.cancel();
  });

  test('is answered on the unary call, with a number and without', async () => {
    const { session_id, stream } = await opened('replaying');
    const client = harness.client();
    const numbered = await client.unary(HosterService.rpc_session_update, {
      ...{ session_id, epoch: epoch(), command: { ...command, sequence: 0 } },
    });
    expect(numbered.result).toMatchObject({ sequence: 0, error: { reason, metadata } });
    const beside = client.unary(HosterService.rpc_session_update, {
      ...{ session_id, command: { ...command, sequence: -1 } },
    });
    expect((await refusalOf(beside)).reason).toBe(reason);
    const next = await client.unary(HosterService.rpc_session_update, {
      ...{ session_id, epoch: epoch(), command: { sequence: 1, name: 'any', arguments: '{}' } },
    });
    expect(next.result?.value).toBe('"any"');
    stream.cancel();
  });
});
