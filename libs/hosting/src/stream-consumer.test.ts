import type { StreamWriter, v1 } from '@cabstand/rpc';
import type { SessionNotice } from '@cabstand/sessions';
import { StreamConsumer } from './stream-consumer';

/** A call whose reader takes nothing before it is told to. */
class Unread implements StreamWriter<v1.SessionStreamResponse> {
  pushed = 0;
  read: () => void = () => undefined;
  readonly #drained = new Promise<void>((resolve) => (this.read = resolve));

  push(): boolean {
    this.pushed++;
    return false;
  }

  write(): Promise<void> {
    throw new Error('not used');
  }

  drained(): Promise<void> {
    return this.#drained;
  }
}

const level = (json: string): SessionNotice => ({ kind: 'module', turn: 0, name: 'level', json });

test('a reader that is behind is not told what may be lost, however much there is', async () => {
  const out = new Unread();
  const consumer = new StreamConsumer(out);
  for (let i = 0; i < 5000; i++) consumer.notice(level(String(i)));
  expect(out.pushed).toBe(1);
  out.read();
  await new Promise(setImmediate);
  consumer.notice(level('now'));
  expect(out.pushed).toBe(2);
});

test('a reader that is behind is told the newest of what counts when it has room again', async () => {
  const out = new Unread();
  const consumer = new StreamConsumer(out);
  for (let done = 0; done < 100; done++) consumer.notice({ kind: 'progress', done });
  expect(out.pushed).toBe(1);
  out.read();
  await new Promise(setImmediate);
  expect(out.pushed).toBe(2);
});
