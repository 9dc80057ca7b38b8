/** Numbers of commands where a session goes from one process to another, and its hoster dies. Needs a build. */
import { once } from 'node:events';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Session } from '@cabstand/client';
import { readOn, until } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { ModuleSubnet } from '../support/module-subnet';

const MODELS = {
  gated: {
    program: 'gated.ts',
    manifest: {
      // What a process gets of a session leaves with the checkpoint behind it.
      ...{ survival: 'commit', prompt: true },
      outputs: { y: { dtype: 'float32', shape: [1] } },
    },
  },
};
let served: ModuleSubnet;
/** Another process of the same principal. */
let other: TestClient;
/** A module goes on once it is there. */
let gate: string;

beforeAll(async () => {
  // Each record is acknowledged.
  const hosterConfig = { limits: { journal_records: 4 } };
  served = await ModuleSubnet.start(MODELS, { hosters: 2, hosterConfig });
  other = new TestClient(served.subnet);
}, 90_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await served[Symbol.asyncDispose]();
});
beforeEach(() => {
  gate = path.join(served.models, 'gate');
  if (existsSync(gate)) rmSync(gate);
});

const open = (): void => writeFileSync(gate, '');
const say = (session: Session, what: string) => session.command('say', { what });

/** Its only frame is here, and the rest of the turn. */
async function begin(session: Session) {
  const turn = session.runProtocolTask(gate);
  expect((await turn.next()).done).toBe(false);
  return turn;
}

test('after an import they follow those that the process before sent after its export', async () => {
  open();
  const session = served.client.session('gated');
  const turn = await begin(session);
  const handle = session.export();
  // Nothing is acknowledged of what comes: it is kept for whoever imports the session.
  expect(await say(session, 'a')).toEqual({ said: ['a'] });
  const next = other.sessions.import(handle);
  const end = readOn(next.continueTurn());
  // The same as the first of the process before, and more.
  expect(await Promise.all([say(next, 'a'), say(next, 'b')])).toEqual([
    { said: ['a', 'a'] },
    { said: ['a', 'a', 'b'] },
  ]);
  await expect(readOn(turn)).rejects.toMatchObject({ reason: 'EPOCH_FENCED' });
  await say(next, 'goodbye');
  expect(await end).toMatchObject({ reason: 'completed' });
});

test('after a take-over by name they take effect though their hoster dies with others before them', async () => {
  const session = served.client.session('gated');
  const turn = await begin(session);
  const lost = ['a', 'b'].map((what) => say(session, what).catch((error: unknown) => error));
  const before = readOn(turn);
  // Told behind the commands: they are there.
  await until('the acknowledgement', async () => {
    const status = await session.status();
    return status?.acknowledgedPosition === 0 || undefined;
  });
  const home = served.subnet.hosters.find(({ address }) => address === session.node?.address);
  const next = await other.sessions.attach(session.id, { model: 'gated' });
  const opened = once(next, 'opened');
  const end = readOn(next.runProtocolTask(gate));
  const early = say(next, 'c');
  expect(await opened).toMatchObject([{ nextCommand: 2 }]);
  const late = say(next, 'd');
  await expect(before).rejects.toMatchObject({ reason: 'EPOCH_FENCED' });
  expect(await Promise.all(lost)).toMatchObject(lost.map(() => ({ reason: 'SESSION_ENDED' })));
  // The checkpoint is on the way before the answer.
  await next.status();
  const revived = once(next, 'opened');
  home?.child.kill('SIGKILL');
  expect(await revived).toMatchObject([{ nextCommand: 0 }]);
  open();
  expect(await Promise.all([early, late])).toEqual([{ said: ['c'] }, { said: ['c', 'd'] }]);
  await say(next, 'goodbye');
  expect(await end).toMatchObject({ reason: 'completed' });
});
