import { EventEmitter } from 'node:events';
import type { WebSocket } from 'ws';
import { LiveSocket } from './live-socket';

/** What the other side has sent is read from it as long as it is not paused. */
class Sender extends EventEmitter {
  isPaused = false;
  readonly readyState = 1;
  taken = 0;
  closedWith: number | undefined;

  send(count: number): void {
    for (let i = 0; i < count && !this.isPaused; i++, this.taken++)
      this.emit('message', Buffer.from('x'), true);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  close(code: number): void {
    this.closedWith = code;
    this.emit('close');
  }
}

test('of a stranger one message is read, of a caller that is let in a few ahead', async () => {
  const sender = new Sender();
  const socket = new LiveSocket(sender as unknown as WebSocket, 60_000);
  const never = new AbortController().signal;
  sender.send(100);
  expect(sender.taken).toBe(1);
  await socket.next(never);
  sender.send(100);
  expect(sender.taken).toBe(1);
  socket.admit();
  sender.send(100);
  expect(sender.taken).toBe(9);
  await socket.next(never);
  sender.send(100);
  expect(sender.taken).toBe(10);
  socket.close(1000, 'over');
  expect([sender.closedWith, socket.gone.aborted]).toEqual([1000, true]);
});
