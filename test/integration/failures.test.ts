import { Subnet, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient, probabilities } from '../support/client';
import { drain } from '../support/drain';
import { childrenOf } from '../support/processes';
import { SileroReference } from '../support/silero-reference';

let subnet: Subnet;
const recording = speech();

beforeEach(async () => {
  subnet = await Subnet.start();
}, 90_000);

afterEach(() => subnet.stop());

test('sigkill to every engine of a hoster: what is not durable gets a typed node error, and the model serves again', async () => {
  await using client = new TestClient(subnet);
  await using session = client.sessions.session({ model: 'silero-vad', durable: false });
  const turn = session.runProtocolTask(undefined, { audio: variation(recording, 1, 512 * 8000) });
  await turn.next();
  const hoster = subnet.hosters.find(({ address }) => address === session.node?.address)!;
  const engines = childrenOf(hoster.child.pid);
  expect(engines.length).toBeGreaterThan(0);
  for (const pid of engines) process.kill(pid, 'SIGKILL');
  await expect(drain(turn)).rejects.toMatchObject({ reason: 'ENGINE_CRASHED', class: 'node' });
  expect(hoster.child.running).toBe(true);

  await using direct = new TestClient(subnet, { routers: [], hosters: [hoster.address] });
  const reference = await SileroReference.load();
  const audio = variation(recording, 2, 512 * 20);
  const values = await until('the model to serve again', async () => {
    await using again = direct.session('silero-vad');
    return await probabilities(again.runProtocolTask(undefined, { audio }));
  });
  expect(values).toEqual(await reference.probabilities(audio));
}, 60_000);

test('ten minutes of audio in one turn go on elsewhere in the middle, and equal a direct run', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session('silero-vad');
  const audio = variation(recording, 4, 600 * 16_000);
  const reference = await SileroReference.load();
  let killed: string | undefined;
  const recovered: string[] = [];
  session.on('recovered', ({ to }) => recovered.push(to.address));
  const killing = async function* () {
    for await (const chunk of session.runProtocolTask(undefined, { audio })) {
      yield chunk;
      if (killed !== undefined || chunk.position < 8_000) continue;
      killed = session.node?.address;
      subnet.hosters.find(({ address }) => address === killed)?.child.kill('SIGKILL');
    }
  };
  const [served, direct] = await Promise.all([
    probabilities(killing()),
    reference.probabilities(audio),
  ]);
  expect(served).toEqual(direct);
  expect(recovered).toHaveLength(1);
  expect(recovered[0]).not.toBe(killed);
  expect(session.lastTurn).toMatchObject({ reason: 'completed', steps: (600 * 16_000) / 512 });
}, 90_000);

test('a hoster killed before the first record costs a retry and nothing else', async () => {
  await using client = new TestClient(subnet);
  // Known to the client and to the router, and gone before anything is asked of it.
  const nodes = await until('two nodes', async () => {
    const all = await client.remote.nodes();
    return all.length === 2 ? all : undefined;
  });
  expect(nodes).toHaveLength(2);
  subnet.hosters[0]!.child.kill('SIGKILL');
  await subnet.hosters[0]!.child.exited;
  const reference = await SileroReference.load();
  const audio = variation(recording, 3, 512 * 30);
  const direct = await reference.probabilities(audio);
  for (let i = 0; i < 6; i++) {
    await using session = client.session('silero-vad');
    expect(await probabilities(session.runProtocolTask(undefined, { audio }))).toEqual(direct);
    expect(session.node?.address).toBe(subnet.hosters[1]!.address);
  }
}, 60_000);

test('sigterm ends a hoster in order: running turns finish, new sessions go elsewhere', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session('silero-vad');
  const audio = variation(recording, 4, 512 * 3000);
  const turn = session.runProtocolTask(undefined, { audio });
  const first = await turn.next();
  expect(first.done).toBe(false);
  const hoster = subnet.hosters.find(({ address }) => address === session.node?.address)!;
  hoster.child.kill('SIGTERM');
  let count = 1;
  for await (const chunk of turn) expect(chunk.position).toBe(count++);
  expect(count).toBe(3000);
  expect(await hoster.child.exited).toEqual({ code: 0, signal: null });
  await using other = client.session('silero-vad');
  const values = await probabilities(
    other.runProtocolTask(undefined, { audio: audio.subarray(0, 5120) }),
  );
  expect(values).toHaveLength(10);
}, 60_000);
