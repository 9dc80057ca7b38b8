/** Commands of plain callers to sessions of modules behind a gateway: many, and no good ones. Needs a build. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { Subnet, refusalOf, until } from '@cabstand/testing';
import { Gateway } from '../support/gateway';

jest.setTimeout(30_000);

const ANSWERER = `
export default class Answerer {
  static load() { return new Answerer(); }
  static commands = {
    say: { handle: (ctx: any, { bytes }: any) => 'x'.repeat(bytes) },
    none: { handle: () => null },
    stay: {
      async handle(ctx: any) {
        while (!ctx.shouldStop()) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    },
  };
  newState() { return {}; }
  async startSession(ctx: any) {
    while (await ctx.idle()) await ctx.checkpoint();
  }
}
`;
const MANIFEST = `
kind: module
survival: replay
limits: { command_bytes: 1000, stop_grace_seconds: 1 }
`;

type Call = BidiStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;

let models: string;
let subnet: Subnet;
let gateway: Gateway;
let client: RpcClient;

beforeAll(async () => {
  models = mkdtempSync(path.join(tmpdir(), 'cabstand-gateway-commands-'));
  mkdirSync(path.join(models, 'answerer', '1'), { recursive: true });
  writeFileSync(path.join(models, 'answerer', 'model.yaml'), MANIFEST);
  writeFileSync(path.join(models, 'answerer', '1', 'index.ts'), ANSWERER);
  subnet = await Subnet.start({ hosters: 1, models, readyMs: 60_000 });
  gateway = await Gateway.start(subnet);
  client = new RpcClient(gateway.address, {
    authorizer: subnet.authorizer('client'),
    keepalive: { timeoutMs: 60_000 },
  });
}, 120_000);

afterAll(async () => {
  client.close();
  await gateway[Symbol.asyncDispose]();
  await subnet.stop();
  rmSync(models, { recursive: true });
});

async function opened(session_id: string): Promise<Call> {
  const stream = client.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, model: 'answerer', durable: true, epoch } });
  await stream.send({ turn: { turn: 0, input: {} } });
  return stream;
}

const epoch: v1.Epoch = { counter: 1, owner: Buffer.alloc(16, 1) };

type Results = v1.CommandResult__Output[];

async function results(stream: Call, most: number, found: Results = []): Promise<Results> {
  for await (const { record } of stream.responses) {
    if (record?.result) found.push(record.result);
    if (found.length === most) break;
  }
  return found;
}

test('who sends commands before he reads is held back, and gets all results', async () => {
  const stream = await opened('many');
  const most = 300;
  const sending = (async () => {
    for (let sequence = 0; sequence < most; sequence++)
      await stream.send({ command: { sequence, name: 'say', arguments: '{"bytes":30000}' } });
  })();
  const all = await results(stream, most);
  await sending;
  expect(all.map(({ sequence }) => sequence)).toEqual([...all.keys()]);
  expect(all.every(({ value }) => value?.length === 30_002)).toBe(true);
  stream.cancel();
});

test('what is no good is answered under its number, and the session goes on', async () => {
  const stream = await opened('bad');
  const bad: [string, string, string][] = [
    ['none', '{', 'COMMAND_INVALID'],
    ['none', '['.repeat(500) + ']'.repeat(400), 'COMMAND_INVALID'],
    ['none', JSON.stringify('x'.repeat(500_000)), 'COMMAND_INVALID'],
    ['n'.repeat(10_000), '{}', 'COMMAND_UNKNOWN'],
    ['nnoe', '', 'COMMAND_UNKNOWN'],
  ];
  for (const [sequence, [name, json]] of bad.entries())
    await stream.send({ command: { sequence, name, arguments: json } });
  await stream.send({ command: { sequence: bad.length, name: 'none', arguments: '' } });
  const found: Results = [];
  const reading = results(stream, bad.length + 2, found);
  await until('a result', () => (found.length > 0 ? true : undefined));
  // Beside the stream they are refused at once, and take none of its numbers.
  const update = (name: string, json: string) =>
    client.unary(HosterService.rpc_session_update, {
      ...{ session_id: 'bad', command: { sequence: -1, name, arguments: json } },
    });
  for (const [name, json, why] of bad)
    expect((await refusalOf(update(name, json))).reason).toBe(why);
  expect((await update('none', '{}')).result?.value).toBe('null');
  const told = (await reading).map(({ sequence, error }) => [sequence, error?.reason]);
  const each = bad.map(([, , why], sequence) => [sequence, why]);
  expect(told).toEqual([...each, [bad.length, undefined], [-1, undefined]]);
});

test('a stop is heeded behind more commands than there is room for', async () => {
  const stream = await opened('overtakes');
  await stream.send({ command: { sequence: 0, name: 'stay', arguments: '' } });
  for (let sequence = 1; sequence < 100; sequence++)
    await stream.send({ command: { sequence, name: 'none', arguments: '' } });
  await stream.send({ command: { sequence: -1, name: 'stop', arguments: '' } });
  const ends: unknown[] = [];
  for await (const { record } of stream.responses) {
    if (record?.end_of_turn) ends.push(record.end_of_turn.reason);
    if (ends.length > 0) break;
  }
  expect(ends).toEqual(['END_REASON_STOPPED']);
  stream.cancel();
});

test('a stop has no number, whatever commands came before', async () => {
  const stream = await opened('stopped');
  await stream.send({ command: { sequence: 0, name: 'none', arguments: '' } });
  await stream.send({ command: { sequence: 0, name: 'stop', arguments: '' } });
  const ends: unknown[] = [];
  for await (const { record } of stream.responses) {
    if (record?.end_of_turn) ends.push(record.end_of_turn.reason);
    if (ends.length > 0) break;
  }
  expect(ends).toEqual(['END_REASON_STOPPED']);
});

test('a command to a session that is over is refused', async () => {
  const update = client.unary(HosterService.rpc_session_update, {
    ...{ session_id: 'stopped', command: { sequence: -1, name: 'none', arguments: '' } },
  });
  expect((await refusalOf(update)).reason).toMatch(/^SESSION_/);
});
