/** What one viewer is sent, whatever becomes of it. */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { CabstandError, FakeClock } from '@cabstand/core';
import type { Entered } from '@cabstand/service';
import { showTo } from './stream';
import { Viewers } from './viewers';
import type { Moment } from './snapshot';
import type { Point } from './view';

/** A response whose reader takes as many writes as it has room for. */
class Response extends EventEmitter {
  readonly written: string[] = [];
  room = Infinity;
  writableFinished = false;
  destroyed = false;

  writeHead(): void {
    // Nothing here looks at it.
  }

  write(text: string): boolean {
    this.written.push(text);
    return --this.room > 0;
  }

  end(text: string): void {
    this.written.push(text);
    this.writableFinished = true;
    this.emit('close');
  }

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function rig() {
  const clock = new FakeClock();
  let count = 0;
  const make = (): Promise<Moment> => {
    const text = `{"count":${String(count++)}}`;
    return Promise.resolve({ point: {} as Point, workMs: 0, nodes: [], text: () => text });
  };
  const viewers = new Viewers({
    clock,
    make,
    failed: (error) => {
      throw error;
    },
  });
  const response = new Response();
  const trust = new AbortController();
  const entered = {
    principal: { id: 'alice', roles: new Set(['client']) },
    trusted: trust.signal,
  } as unknown as Entered;
  const shown = showTo({
    viewers,
    response: response as unknown as ServerResponse,
    entered,
    stopping: new AbortController().signal,
    incarnation: 'one',
    clock,
  });
  const counts = (): number[] =>
    response.written.flatMap((text) =>
      [...text.matchAll(/"count":(\d+)/g)].map((m) => Number(m[1])),
    );
  return { clock, viewers, response, trust, shown, counts };
}

test('who reads slowly gets the newest snapshot and no backlog', async () => {
  const { clock, response, counts } = rig();
  await clock.advance(0);
  expect(counts()).toEqual([0]);
  response.room = 1;
  await clock.advance(5000);
  expect(counts()).toEqual([0, 1]);
  response.room = Infinity;
  response.emit('drain');
  await clock.advance(1000);
  expect(counts()).toEqual([0, 1, 6]);
});

test('who reads nothing for long is cut off, and costs nothing any more', async () => {
  const { clock, response, shown, counts } = rig();
  await clock.advance(0);
  response.room = 1;
  await clock.advance(40_000);
  expect(response.destroyed).toBe(true);
  expect(await shown).toBeUndefined();
  expect(counts()).toEqual([0, 1]);
  await clock.advance(5000);
  expect(clock.pending).toBe(0);
});

test('who is trusted no more is told so and sees nothing further', async () => {
  const { clock, response, trust, shown, counts } = rig();
  await clock.advance(0);
  trust.abort(new CabstandError('CREDENTIALS_EXPIRED', 'over'));
  expect((await shown)?.reason).toBe('CREDENTIALS_EXPIRED');
  expect(response.written.at(-1)).toContain('"reason":"CREDENTIALS_EXPIRED"');
  await clock.advance(5000);
  expect(counts()).toEqual([0]);
});
