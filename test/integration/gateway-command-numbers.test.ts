/** Commands of plain callers through a gateway, and of others beside them. Needs a build. */
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { Gateway } from '../support/gateway';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { within } from '../support/raw';

let served: ModuleSubnet;
let gateway: Gateway;
const clients: RpcClient[] = [];

beforeAll(async () => {
  served = await ModuleSubnet.start({ ride: ride('replay') });
  gateway = await Gateway.start(served.subnet);
}, 120_000);
afterAll(async () => {
  for (const client of clients) client.close();
  await gateway[Symbol.asyncDispose]();
  await served[Symbol.asyncDispose]();
});

function caller(): RpcClient {
  const client = new RpcClient(gateway.address, { authorizer: served.subnet.authorizer('client') });
  clients.push(client);
  return client;
}

const add = (sequence: number, by: number): v1.Command => ({
  ...{ sequence, name: 'add', arguments: JSON.stringify({ by }) },
});

test('results are those of their commands, though others send some beside', async () => {
  const session_id = 'steered';
  const stream = caller().bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, durable: true, model: 'ride' } });
  await stream.send({ turn: { turn: 0, input: { parameters: '{"pace":5}' } } });
  const responses = stream.responses[Symbol.asyncIterator]();
  /** The next record for which there is something to give. */
  async function next<T>(of: (record: v1.Record__Output) => T | null | undefined): Promise<T> {
    for (;;) {
      const step = await responses.next();
      if (step.done === true) throw new Error('the stream ended');
      const found = step.value.record && of(step.value.record);
      if (found) return found;
    }
  }
  const sumOf = ({ sequence, value }: v1.CommandResult__Output) => [
    sequence,
    (JSON.parse(value ?? '{}') as { sum?: number }).sum,
  ];
  await next(({ chunk }) => chunk);
  await stream.send({ command: add(0, 1) });
  expect(sumOf(await next(({ result }) => result))).toEqual([0, 1]);
  const beside = await caller().unary(
    HosterService.rpc_session_update,
    { session_id, command: add(-1, 10) },
    within,
  );
  expect(beside.result && sumOf(beside.result)).toEqual([-1, 11]);
  expect(sumOf(await next(({ result }) => result))).toEqual([-1, 11]);
  await stream.send({ command: add(1, 100) });
  expect(sumOf(await next(({ result }) => result))).toEqual([1, 111]);
  // Whatever number it says, and whoever says it: those of the stream are its caller's.
  for (const epoch of [null, { counter: 1, owner: Buffer.alloc(16, 1) }])
    for (const sequence of [0, 2]) {
      const command = add(sequence, 1000);
      const { result } = await caller().unary(
        HosterService.rpc_session_update,
        { session_id, epoch, command },
        within,
      );
      expect(result?.sequence).toBe(-1);
      expect((await next((record) => record.result)).sequence).toBe(-1);
    }
  await stream.send({ command: add(2, 10_000) });
  expect(sumOf(await next(({ result }) => result))).toEqual([2, 14_111]);
  await stream.send({ command: { sequence: -1, name: 'stop' } });
  expect((await next(({ end_of_turn: end }) => end)).reason).toBe('END_REASON_STOPPED');
});
