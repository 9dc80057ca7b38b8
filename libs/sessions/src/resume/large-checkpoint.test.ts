import { Bench, drink, tick } from '../durable-bench.fixture';
import { DurableClient } from '../durable-client.fixture';

/** Records fit, checkpoints do not: an engine was wrong about its snapshots. */
const options = { messageBytes: 200 };

test('a session whose checkpoints no message can hold goes on from its input', async () => {
  const b = new Bench();
  const [one, two, three] = [b.hoster(options), b.hoster(options), b.hoster(options)];
  const client = new DurableClient('s');
  client.checkpoints = false;
  await client.open(one.sessions);
  client.startTurn(30);
  one.model.run(10);
  client.read(100);
  expect(client.spec.checkpoint).toBeUndefined();
  // In another engine of the same hoster it goes on from the state all the same.
  one.model.crash();
  one.model.restart();
  await tick();
  one.model.run(5);
  client.read(100);
  const moved = client.session?.handOver();
  one.model.run();
  expect(await moved).toBeUndefined();
  client.read(100);
  await client.resume(two.sessions);
  drink(client, () => two.model.run());
  client.startTurn(5);
  two.model.run(2);
  await client.resume(three.sessions);
  drink(client, () => three.model.run());
  expect(client.delivered).toEqual(client.expected());
});
