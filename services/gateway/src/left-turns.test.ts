/** Callers who leave a turn of a kept session, and send the next one at once. */
import { sleep } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import { until } from '@cabstand/testing';
import type { MockProtocolOptions } from '@cabstand/testing';
import { EventReader, caller, closeGateways, gatewaysOf, turnOf } from './gateways.fixture';
import type { GatewayInMemory } from './gateways.fixture';

afterEach(closeGateways);

const WORDS = Array.from({ length: 10 }, (_, i) => `w${i}`).join(' ');
const says = (prompt: string) => ({
  input: { prompt, tensors: [], parameters: '' },
  elements: 'list' as const,
});

/** Of a hoster that takes its time for each step, the cancelled one, too. */
const answer: NonNullable<MockProtocolOptions['answer']> = async function* ({ prompt }) {
  for (const text of prompt.split(' ')) {
    await sleep(100);
    yield { text };
  }
};

async function slowGateway() {
  const { gateways, mock } = await gatewaysOf(1, { answer, ackEvery: 1 });
  return { one: gateways[0] as GatewayInMemory, mock };
}

test('the next turn of a reader of events waits until the one before is wound up', async () => {
  const { one, mock } = await slowGateway();
  const session = { id: 's', named: true, retention: 'kept', model: 'm', priority: 0 } as const;
  const begun = await one.followed.open(caller, { ...session, ...says(WORDS) });
  await new EventReader(2).read(begun.followed, begun.from);
  for (const prompt of ['a b', 'c']) {
    const reader = new EventReader();
    const next = await one.followed.turn(caller, 's', says(prompt));
    await reader.read(next.followed, next.from);
    expect(reader.words).toEqual(prompt.split(' '));
    expect(reader.positions[0]).toBe(next.from);
  }
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0, 1, 2]);
});

test('and so does that of a caller of gRPC', async () => {
  const { one, mock } = await slowGateway();
  const base = { session_id: 's', model: 'm', keep_session: true };
  const leaves = new AbortController();
  const stream = one.client.serverStream(
    HosterService.rpc_inference_stream,
    { ...base, prompt: WORDS },
    { signal: leaves.signal },
  );
  let records = 0;
  const read = (async () => {
    for await (const { record } of stream)
      if (record && ++records === 2) leaves.abort(new Error('gone'));
  })();
  await expect(read).rejects.toThrow();
  await until(
    'the gateway to hear of it',
    () => one.sessions.find(caller, 's')?.state.kind === 'idle' || undefined,
  );
  const next = await turnOf(one, { ...base, turn: 1, prompt: 'a b' });
  expect(next.map(({ chunk }) => chunk?.text)).toEqual(['a', 'b', undefined]);
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0, 1]);
});
