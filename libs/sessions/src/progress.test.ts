import { Bench } from './durable-bench.fixture';
import { DurableClient } from './durable-client.fixture';

test('a consumer that waits for a record hears that there is life', async () => {
  const { model, sessions } = new Bench().hoster();
  const client = new DurableClient('s');
  await client.open(sessions);
  const told = (): number =>
    client.reader?.notices.filter(({ kind }) => kind === 'progress').length ?? 0;
  sessions.tellProgress();
  client.startTurn(30);
  sessions.tellProgress();
  sessions.tellProgress();
  expect(told()).toBe(1);
  model.run(1);
  client.read(100);
  sessions.tellProgress();
  expect(told()).toBe(1);
});
