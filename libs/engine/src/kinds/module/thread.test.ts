/** The author's thread as a thread: what nobody catches in it, and what is written to its console. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { decodeFrame } from '../../frames/codec';
import { PREFIX } from '../../frames/layout';
import { Flags } from './flags';
import { dataOf } from './host.fixture';
import type { FromThread, ToThread } from './messages';

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-thread-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SOURCE = `
export default class Careless {
  static load() { return new Careless(); }
  newState() { return {}; }
  async startSession(ctx: any) {
    console.log('session %s', ctx.id);
    if (ctx.prompt === 'rejects') void Promise.reject(new Error('forgotten'));
    if (ctx.prompt === 'throws') setTimeout(() => { throw new Error('forgotten'); }, 1);
    await ctx.idle();
  }
}`;

test('what nobody caught ends the session whose code it was, and no other', async () => {
  const file = path.join(folder, 'index.ts');
  writeFileSync(file, SOURCE);
  const data = dataOf('none', { file, folder });
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  const worker = new Worker(path.join(root, 'dist/kinds/module/thread.js'), { workerData: data });
  const told: FromThread[] = [];
  let wake: () => void = () => undefined;
  worker.on('message', (message: FromThread) => {
    told.push(message);
    wake();
  });
  const until = async (ready: () => boolean): Promise<void> => {
    while (!ready())
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  const send = (message: ToThread): void => worker.postMessage(message);
  const ended = (): number[] =>
    told.flatMap((message) => (message.kind === 'ended' ? [message.sequence] : []));
  try {
    await until(() => told.some(({ kind }) => kind === 'loaded'));
    for (const [index, how] of ['waits', 'rejects', 'throws'].entries()) {
      const session = `s${index}`;
      send({ kind: 'open', sequence: index, place: index, seed: 0, session, snapshots: false });
      const turn = { number: 0, prompt: how, parameters: {}, inputs: [] };
      send({ kind: 'turn', sequence: index, turn: { ...turn, live: false, continued: false } });
    }
    await until(() => ended().length === 2);
    new Flags(data.flags).at(0).stop('stopped');
    send({ kind: 'wake', sequence: 0 });
    await until(() => ended().length === 3);
    expect(ended().sort()).toEqual([0, 1, 2]);
    const items = told.flatMap((message) => {
      if (message.kind !== 'frames') return [];
      return message.frames.flatMap((bytes) => {
        const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, Buffer.from(bytes.subarray(PREFIX)));
        return frame.type === 'STEP' ? frame.items : [];
      });
    });
    const error = { reason: 'MODULE_FAILED', message: 'Error: forgotten' };
    const ends = new Map(
      items.flatMap((item) => (item.kind === 'end' ? [[item.sequence, item.end]] : [])),
    );
    expect(ends.get(0)).toMatchObject({ reason: 'stopped' });
    expect(ends.get(1)).toMatchObject({ reason: 'error', error });
    expect(ends.get(2)).toMatchObject({ reason: 'error', error });
    const logs = told.flatMap((message) => (message.kind === 'log' ? [message] : []));
    expect(logs).toContainEqual({ kind: 'log', level: 'info', sequence: 2, message: 'session s2' });
    // The author's file and line, for whoever runs the hoster.
    expect(logs.map(({ message }) => message).join('\n')).toMatch(/forgotten[^]*index\.ts:7/);
  } finally {
    await worker.terminate();
  }
});
