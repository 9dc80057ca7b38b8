/** Hosters that come back with other weights of a model: real processes, a real file that changed. */
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32Of } from '@cabstand/tensor';
import { Subnet, TEST_MODELS } from '@cabstand/testing';
import type { Service } from '@cabstand/testing';
import { TestClient } from '../support/client';

const MODEL = 'accumulator';
const FRAME = 4;

let models: string;
let subnet: Subnet;

beforeAll(async () => {
  models = mkdtempSync(path.join(tmpdir(), 'cabstand-weights-'));
  cpSync(path.join(TEST_MODELS, MODEL), path.join(models, MODEL), { recursive: true });
  subnet = await Subnet.start({ models });
}, 90_000);

afterAll(async () => {
  await subnet.stop();
  rmSync(models, { recursive: true, force: true });
});

/** The process is gone, and another one comes up in its place with what the folder holds now. */
async function replace(hoster: Service): Promise<void> {
  hoster.child.kill('SIGKILL');
  await hoster.child.exited;
  const index = subnet.hosters.indexOf(hoster);
  subnet.hosters[index] = await subnet.startHoster(index, hoster);
}

test('a session goes on where its weights are, and is lost, not refused, where nobody has them', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const live = session.live();
  const sum = async (value: number): Promise<number | undefined> => {
    await live.write({ signal: new Float32Array(FRAME).fill(value) });
    const next = await live.next();
    return next.done === true ? undefined : float32Of(next.value.tensor('sum'))[0];
  };
  expect([await sum(1), await sum(2)]).toEqual([1, 3]);

  // From here on a hoster that starts has other weights under the same name and version.
  appendFileSync(path.join(models, MODEL, 'model.yaml'), '\n# other weights\n');
  const home = subnet.hosters.find(({ address }) => address === session.node?.address);
  const other = subnet.hosters.find((hoster) => hoster !== home);
  if (home === undefined || other === undefined) throw new Error('two hosters were expected');
  await replace(home);
  expect(await sum(3)).toBe(6);
  expect(session.node?.address).toBe(other.address);
  const replaced = subnet.hosters[subnet.hosters.indexOf(other) === 0 ? 1 : 0];
  if (replaced !== undefined) await subnet.ready(replaced);

  await replace(other);
  const began = performance.now();
  await expect(sum(4)).rejects.toMatchObject({
    ...{ reason: 'SESSION_LOST', class: 'session' },
    metadata: { problem: 'other_weights' },
  });
  // Not only when its time to recover is over: nobody has them, and nobody will.
  expect(performance.now() - began).toBeLessThan(20_000);
  await using again = client.session(MODEL);
  const chunks = again.runProtocolTask(undefined, { signal: new Float32Array(FRAME).fill(5) });
  const first = await chunks.next();
  expect(first.done === true ? undefined : float32Of(first.value.tensor('sum'))[0]).toBe(5);
}, 60_000);
