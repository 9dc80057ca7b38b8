import type { ChannelMessage, SessionChannel } from '../protocol/types';
import { LiveParts } from './live-parts';

class Channel implements SessionChannel {
  readonly sent: number[] = [];
  send(message: ChannelMessage): boolean {
    if (message.kind === 'part') this.sent.push(message.sequence);
    return true;
  }
  drained = (): Promise<void> => Promise.resolve();
  poll = (): undefined => undefined;
  wait = (): Promise<boolean> => Promise.resolve(false);
  cancel = (): void => undefined;
  finish = (): void => undefined;
}

function setup(maxReplayBytes = 1_000) {
  const parts = new LiveParts({ maxParts: 8, maxBytes: 80, maxReplayBytes });
  let sequence = 0;
  const write = (count: number): void => {
    for (let i = 0; i < count; i++)
      parts.add({ turn: 0, sequence: sequence++, tensors: [], last: false }, 10);
  };
  const attach = (resumed: boolean): Channel => {
    const channel = new Channel();
    parts.attach(channel, resumed);
    return channel;
  };
  return { parts, write, attach };
}

test('parts that a hoster has and cannot use yet take no room away from further ones', () => {
  const { parts, write, attach } = setup();
  attach(true);
  write(8);
  expect(parts.hasRoom).toBe(false);
  parts.accepted(0, 6);
  expect(parts.hasRoom).toBe(true);
  write(6);
  expect(parts.hasRoom).toBe(false);
  // The next hoster has none of them, and says so again.
  expect(attach(true).sent).toHaveLength(14);
  expect(parts.hasRoom).toBe(false);
  parts.accepted(0, 14);
  expect(parts.hasRoom).toBe(true);
  parts.accepted(14);
  expect(parts.hasRoom).toBe(true);
  write(7);
  expect(parts.hasRoom).toBe(true);
  write(1);
  expect(parts.hasRoom).toBe(false);
});

test('another hoster gets what no checkpoint holds; the same one what it has not taken', () => {
  const { parts, write, attach } = setup();
  expect(attach(true).sent).toEqual([]);
  write(6);
  for (let i = 0; i < 4; i++) parts.applied(i, i * 2);
  parts.checkpoint(5);
  expect(attach(false).sent).toEqual([4, 5]);
  // Parts 0, 1 and 2 were applied before position 5.
  expect(attach(true).sent).toEqual([3, 4, 5]);
  expect(parts.replayable).toBe(true);
});

test('parts beyond the limit are given up once taken, and a checkpoint that covers them mends it', () => {
  const { parts, write, attach } = setup(30);
  attach(true);
  write(8);
  expect([parts.replayable, parts.keptBytes]).toEqual([true, 80]);
  for (let i = 0; i < 8; i++) parts.applied(i, i);
  expect([parts.replayable, parts.keptBytes]).toEqual([false, 30]);
  parts.checkpoint(4);
  expect(parts.replayable).toBe(false);
  parts.checkpoint(5);
  expect(parts.replayable).toBe(true);
  expect(attach(true).sent).toEqual([5, 6, 7]);
});

test('room is what the hoster has taken, whoever it is', () => {
  const { parts, write, attach } = setup();
  attach(true);
  write(8);
  expect(parts.hasRoom).toBe(false);
  parts.accepted(3);
  expect(parts.hasRoom).toBe(true);
  attach(true);
  expect(parts.hasRoom).toBe(false);
});

test('parts that the process before has sent leave room once they are sent again', () => {
  const { parts, write, attach } = setup(0);
  const channel = attach(false);
  parts.accepted(12);
  for (let i = 0; i < 12; i++) parts.applied(i, i);
  write(12);
  expect(channel.sent).toHaveLength(12);
  expect(parts.hasRoom).toBe(true);
  write(7);
  expect(parts.hasRoom).toBe(true);
  write(1);
  expect(parts.hasRoom).toBe(false);
});

test('parts that a checkpoint of the process before holds are written, and not sent elsewhere', () => {
  const { parts, write, attach } = setup();
  attach(false);
  for (let i = 0; i < 4; i++) parts.applied(i, i);
  parts.checkpoint(4);
  const next = attach(true);
  write(1);
  expect([parts.hasRoom, parts.keptBytes]).toEqual([true, 0]);
  write(11);
  expect(next.sent).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
  expect(parts.hasRoom).toBe(false);
  parts.accepted(5);
  expect(parts.hasRoom).toBe(true);
});

test('what cannot go elsewhere is not kept', () => {
  const { parts, write, attach } = setup();
  attach(true);
  write(5);
  parts.forget();
  parts.accepted(4);
  expect(parts.keptBytes).toBe(10);
  for (let i = 0; i < 50; i++) {
    write(1);
    parts.accepted(5 + i);
  }
  expect(parts.keptBytes).toBeLessThanOrEqual(20);
});
