import { fork } from 'node:child_process';
import path from 'node:path';
import { Subnet } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient } from '../support/client';
import type { ClientJob, ClientResult } from '../support/client-process';
import { residentBytes } from '../support/processes';
import { SileroReference } from '../support/silero-reference';

const PROCESSES = 4;
const SESSIONS = 16;
const SAMPLES = 512 * 300;

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start();
}, 90_000);

afterAll(() => subnet.stop());

function runClient(job: ClientJob): Promise<ClientResult[]> {
  const child = fork(path.resolve(__dirname, '../dist/support/client-process.js'));
  return new Promise((resolve, reject) => {
    child.once('message', (message: { results?: ClientResult[]; error?: string }) => {
      if (message.results === undefined) reject(new Error(message.error));
      else resolve(message.results);
    });
    child.once('exit', (code) => reject(new Error(`the client ended with ${String(code)}`)));
    child.send(job);
  });
}

test('64 sessions from 4 processes over 2 hosters: all right, evenly spread, bounded', async () => {
  await using slow = new TestClient(subnet);
  await using lazy = slow.session('silero-vad');
  const recording = speech();
  const neglected = lazy.runProtocolTask(undefined, {
    audio: variation(recording, 0, 512 * 4000),
  });
  // Reads one record, then nothing while the others stream.
  expect((await neglected.next()).done).toBe(false);

  const before = subnet.hosters.map(({ child }) => residentBytes(child.pid));
  const results = await Promise.all(
    Array.from({ length: PROCESSES }, (_, process) =>
      runClient({
        routers: subnet.routerAddresses,
        auth: subnet.authConfig('client'),
        numbers: Array.from({ length: SESSIONS }, (_, i) => process * SESSIONS + i),
        samples: SAMPLES,
      }),
    ),
  );
  const reference = await SileroReference.load();
  const perNode = new Map<string, number>();
  for (const { number, node, values } of results.flat()) {
    perNode.set(node, (perNode.get(node) ?? 0) + 1);
    const direct = await reference.probabilities(variation(recording, number, SAMPLES));
    expect(Float32Array.from(values)).toEqual(direct);
  }
  const even = (PROCESSES * SESSIONS) / subnet.hosters.length;
  expect([...perNode.values()].reduce((a, b) => a + b, 0)).toBe(PROCESSES * SESSIONS);
  // Hand-outs of one moment spread by what is reserved; sessions that end meanwhile shift it a little.
  for (const count of perNode.values())
    expect(Math.abs(count - even)).toBeLessThanOrEqual(even * 0.3);
  const after = subnet.hosters.map(({ child }) => residentBytes(child.pid));
  for (const [i, bytes] of after.entries())
    expect(bytes - (before[i] ?? 0)).toBeLessThan(150 * 1024 * 1024);

  // The slow reader kept its place and misses nothing.
  let count = 1;
  for await (const chunk of neglected) expect(chunk.position).toBe(count++);
  expect(count).toBe(4000);
}, 120_000);
