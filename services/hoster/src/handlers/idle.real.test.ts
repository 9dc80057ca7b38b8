/** Kept sessions that have to make room, over a real socket and a real engine. */
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { ModelHost } from '../models/model-host';
import { openModelHost } from '../models/host';
import { BUNDLED, Harness, epoch, hear, uniqueId } from './harness.fixture';

let host: ModelHost;
let harness: Harness;

beforeAll(async () => {
  host = await openModelHost({ repositories: [BUNDLED], only: ['g2p'] });
  await host.settled();
  harness = await Harness.start(host, { maxSessionsPerPrincipal: 2 });
}, 60_000);

afterAll(async () => {
  await harness.stop();
  await host.stop();
});

test('a principal at its limit opens another session; its longest idle one says why it has gone', async () => {
  const client = harness.client();
  const turn = async (session_id: string, number: number): Promise<string> => {
    const request = { session_id, epoch: epoch(), keep_session: true, model: 'g2p', turn: number };
    const stream = client.serverStream(HosterService.rpc_inference_stream, {
      ...request,
      prompt: 'taxi',
    });
    return hear(stream).then(
      () => 'served',
      (error: unknown) => CabstandError.from(error).reason,
    );
  };
  const [first, second, third] = [uniqueId(), uniqueId(), uniqueId()];
  expect([await turn(first, 0), await turn(second, 0)]).toEqual(['served', 'served']);
  expect(await turn(first, 1)).toBe('served');
  expect(await turn(third, 0)).toBe('served');
  expect([await turn(second, 1), await turn(first, 2)]).toEqual(['SESSION_EVICTED', 'served']);
  const status = await client.unary(HosterService.rpc_session_status, { session_id: second });
  expect(status).toMatchObject({
    end_reason: 'END_REASON_EVICTED',
    error: { reason: 'SESSION_EVICTED' },
  });
});
