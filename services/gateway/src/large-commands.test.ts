/** Commands that are too large for any hoster, as callers of a gateway send them. */
import { HosterService } from '@cabstand/rpc';
import { refusalOf } from '@cabstand/testing';
import { closeGateways, gatewaysOf } from './gateways.fixture';

afterEach(closeGateways);

const MOST = 2 * 1024 * 1024;

/** @returns a command whose name and arguments have so many bytes */
const commandOf = (bytes: number) => ({
  ...{ sequence: 0, name: 'do' },
  arguments: `"${'x'.repeat(bytes - 'do""'.length)}"`,
});

// With 3 more its arguments alone are too large.
test.each([1, 2, 3, 1000])('one of %i bytes above 2 MiB is answered', async (more) => {
  const { gateways } = await gatewaysOf(1, {
    models: ['m'],
    module: {
      ...{ survival: 'replay', commands: ['do'] },
      run: async (module) => {
        await module.next();
      },
    },
  });
  const { client } = gateways[0]!;
  const stream = client.bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id: 's', durable: true, model: 'm' } });
  await stream.send({ turn: { turn: 0, input: {} } });
  await stream.send({ command: commandOf(MOST + more) });
  const reading = (async (): Promise<void> => {
    for await (const { record } of stream.responses) expect(record).toBeFalsy();
  })();
  expect(await refusalOf(reading)).toMatchObject({
    reason: 'LIMIT_EXCEEDED',
    metadata: { field: 'arguments' },
  });
  const update = { session_id: 's', command: commandOf(MOST + more) };
  expect(await refusalOf(client.unary(HosterService.rpc_session_update, update))).toMatchObject({
    reason: 'LIMIT_EXCEEDED',
  });
});
