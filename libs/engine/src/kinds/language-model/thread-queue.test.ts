/** Threads that end, and questions that are given up. */
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { ThreadQueue } from './thread-queue';

/** Answers with what it was asked and which thread it is, or ends as it is told to. */
const THREAD = `
const { parentPort, threadId } = require('node:worker_threads');
parentPort.on('message', ({ id, asked }) => {
  if (asked === 'exit') process.exit(3);
  if (asked === 'leave') parentPort.close();
  else if (asked === 'fill') { const all = []; for (;;) all.push(new Array(1e5).fill({})); }
  else if (asked === 'answer, exit') {
    parentPort.postMessage({ id, told: { asked, threadId } });
    setImmediate(() => process.exit(3));
  }
  else if (asked !== 'wait') parentPort.postMessage({ id, told: { asked, threadId } });
});
parentPort.postMessage('ready');
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-thread-'));
  writeFileSync(path.join(folder, 'thread.js'), THREAD);
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Told {
  readonly asked: string;
  readonly threadId: number;
}

const queue = (): ThreadQueue<string, Told> =>
  new ThreadQueue({
    ...{ entry: path.join(folder, 'thread.js'), data: undefined, limitMs: 600_000, limitMiB: 32 },
    tooLong: (asked) => new CabstandError('LIMIT_EXCEEDED', asked),
  });

test.each([
  ['exit', 'ended with code 3'],
  ['leave', 'ended with code 0'],
  ['fill', 'memory'],
])(
  'a question whose thread ends by "%s" fails, and those behind it are answered',
  async (asked, says) => {
    await using threads = queue();
    const { threadId } = await threads.ask('hello', 'a');
    const lost = threads.ask(asked, 'a').catch((error: unknown) => error);
    const next = threads.ask('next', 'a');
    expect(await lost).toMatchObject({
      reason: 'INTERNAL',
      message: expect.stringContaining(says) as string,
    });
    expect(await next).toMatchObject({ asked: 'next' });
    expect((await next).threadId).not.toBe(threadId);
  },
);

test('a question that was answered keeps its answer, and the next ones are answered once the thread is gone', async () => {
  await using threads = queue();
  expect(await threads.ask('answer, exit', 'a')).toMatchObject({ asked: 'answer, exit' });
  const first = await threads.ask('next', 'a').catch((error: unknown) => error);
  if (first instanceof CabstandError) expect(first.reason).toBe('INTERNAL');
  expect(await threads.ask('next', 'a')).toMatchObject({ asked: 'next' });
});

test('what is not wanted when it is asked is refused at once, and asks nothing of the thread', async () => {
  await using threads = queue();
  const waits = new AbortController();
  const before = threads.ask('wait', 'a', waits.signal).catch((error: unknown) => error);
  await expect(threads.ask('hello', 'a', AbortSignal.abort())).rejects.toMatchObject({
    reason: 'CANCELLED',
  });
  waits.abort();
  expect(await before).toMatchObject({ reason: 'CANCELLED' });
});

test('nothing is left on a signal by questions that are over', async () => {
  await using threads = queue();
  const { signal } = new AbortController();
  for (const asked of ['one', 'two']) await threads.ask(asked, 'a', signal);
  await threads.ask('exit', 'a', signal).catch(() => undefined);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
