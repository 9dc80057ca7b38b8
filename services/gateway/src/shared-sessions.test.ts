/** Sessions that a plain caller of a gateway lets somebody else watch. */
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { MockModule } from '@cabstand/testing';
import { caller, closeGateways, gatewaysOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);

/** Says what it is told, until `finish`. */
async function echo(module: MockModule): Promise<void> {
  for (let given = await module.next(); given !== undefined; given = await module.next()) {
    if (given.kind === 'part') continue;
    await module.emit({ text: given.name });
    await given.answer(1);
    if (given.name === 'finish') return;
    await module.checkpoint();
  }
}

const MODULE = { survival: 'replay', commands: ['do', 'finish'], run: echo } as const;

/** A session whose turn runs, on one gateway's stream. */
async function begin({ client }: GatewayInMemory) {
  const owner = client.bidi(HosterService.rpc_session_stream);
  await owner.send({ open: { session_id: 's', durable: true, model: 'm' } });
  await owner.send({ turn: { turn: 0, input: {} } });
  let sequence = 0;
  const responses = owner.responses[Symbol.asyncIterator]();
  const tell = async (name: string): Promise<void> => {
    await owner.send({ command: { sequence: sequence++, name, arguments: '1' } });
    for (;;) {
      const { value, done } = await responses.next();
      if (done === true || value.record?.result) return;
    }
  };
  await tell('do');
  return tell;
}

const share = ({ client }: GatewayInMemory, principal = '') =>
  client.unary(HosterService.rpc_share_session, { session_id: 's', ttl_ms: 60_000, principal });

async function watch({ client }: GatewayInMemory, ticket: string, words: string[]): Promise<void> {
  const viewer = client.bidi(HosterService.rpc_session_stream);
  await viewer.send({ attach: { session_id: 's', role: 'ATTACH_ROLE_VIEWER', ticket } });
  for await (const { record } of viewer.responses) if (record?.chunk) words.push(record.chunk.text);
}

test('a plain caller shares its session through one gateway, and it is watched through another', async () => {
  const { gateways } = await gatewaysOf(2, { models: ['m'], module: MODULE });
  const [one, other] = gateways as [GatewayInMemory, GatewayInMemory];
  const tell = await begin(one);
  const { ticket, expires_at_ms } = await share(one);
  expect(expires_at_ms).toBeGreaterThan(Date.now());
  const words: string[] = [];
  const watching = watch(other, ticket, words);
  while (words.length === 0) await tell('do');
  await tell('finish');
  await watching;
  expect(words.at(-1)).toBe('finish');
});

test('a ticket is checked by the hoster, for the caller that the gateway names', async () => {
  const { gateways } = await gatewaysOf(1, { models: ['m'], module: MODULE });
  const [gateway] = gateways as [GatewayInMemory];
  const tell = await begin(gateway);
  const problem = async (ticket: string): Promise<string | undefined> => {
    const refused = await watch(gateway, ticket, []).catch((error: unknown) =>
      CabstandError.from(error),
    );
    return refused?.metadata['problem'];
  };
  expect(await problem('forged')).toBe('malformed');
  expect(await problem((await share(gateway, 'somebody')).ticket)).toBe('other_principal');
  const status = async (ticket: string): Promise<string> =>
    (await gateway.client.unary(HosterService.rpc_session_status, { session_id: 's', ticket }))
      .state;
  expect(await status((await share(gateway, caller.id)).ticket)).toBe('SESSION_STATE_STREAMING');
  await expect(status('forged')).rejects.toMatchObject({ reason: 'SHARE_INVALID' });
  await tell('finish');
});
