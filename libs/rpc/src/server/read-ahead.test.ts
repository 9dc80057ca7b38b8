import type * as v1 from '../v1';
import { ReadAhead, waitingBytes } from './read-ahead';

/** A stream of texts that the test writes: `stop…` overtake, `turn…` let nothing overtake them. */
function bench() {
  const written: IteratorResult<string>[] = [];
  let wake: (() => void) | undefined;
  let broken: Error | undefined;
  let pulled = 0;
  const overtaken: string[] = [];
  const requests: AsyncIterator<string> = {
    async next() {
      pulled++;
      while (written.length === 0) {
        if (broken !== undefined) throw broken;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      return written.shift() ?? { done: true, value: undefined };
    },
  };
  const ahead = new ReadAhead(requests, {
    overtake: (request) => {
      if (request === 'stop badly') throw new Error('no such turn');
      if (!request.startsWith('stop')) return false;
      overtaken.push(request);
      return true;
    },
    bytesOf: (request) => (request.startsWith('turn') ? Infinity : request.length),
  });
  let make: () => void = () => undefined;
  const room = new Promise<void>((resolve) => (make = resolve));
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 500; turns++) await Promise.resolve();
  };
  return {
    ahead,
    overtaken,
    pulled: () => pulled,
    write: (...texts: string[]) => {
      written.push(...texts.map((value) => ({ done: false, value })));
      wake?.();
    },
    end: () => {
      written.push({ done: true, value: undefined });
      wake?.();
    },
    breaks: (error: Error) => {
      broken = error;
      wake?.();
    },
    room,
    make,
    settle,
  };
}

test('a stop behind requests that wait is heeded at once, and they follow in order', async () => {
  const b = bench();
  const waited = b.ahead.until(b.room);
  b.write('a', 'b', 'stop 1', 'c');
  await b.settle();
  expect(b.overtaken).toEqual(['stop 1']);
  b.make();
  await waited;
  b.write('d');
  for (const value of ['a', 'b', 'c', 'd'])
    expect(await b.ahead.next()).toEqual({ done: false, value });
});

test('nothing is read that nobody asks for, and no request is lost between two waits', async () => {
  const b = bench();
  expect(b.pulled()).toBe(0);
  const waited = b.ahead.until(b.room);
  await b.settle();
  b.make();
  await waited;
  expect(b.pulled()).toBe(1);
  const again = b.ahead.until(new Promise<void>(() => undefined));
  void again;
  b.write('stop 1', 'a');
  await b.settle();
  expect(b.overtaken).toEqual(['stop 1']);
  expect(await b.ahead.next()).toEqual({ done: false, value: 'a' });
});

test.each<[string, string[], number]>([
  ['so many', Array.from({ length: 100 }, () => 'a'), 64],
  ['so large', ['a', 'b'.repeat(1024 * 1024), 'c'], 2],
  ['what lets nothing overtake it', ['a', 'turn 1', 'stop 1'], 2],
])('no more is read once there wait %s', async (_, texts, most) => {
  const b = bench();
  const waited = b.ahead.until(b.room);
  b.write(...texts);
  await b.settle();
  expect(b.pulled()).toBe(most);
  expect(b.overtaken).toEqual([]);
  b.make();
  await waited;
  const read: unknown[] = [];
  for (const text of texts) {
    read.push((await b.ahead.next()).value);
    expect(read.at(-1)).toBe(text);
  }
});

test('the end of the stream comes where it was, behind what waits, and so does what breaks it', async () => {
  for (const breaks of [false, true]) {
    const b = bench();
    const waited = b.ahead.until(b.room);
    b.write('a');
    await b.settle();
    if (breaks) b.breaks(new Error('lost'));
    else b.end();
    await b.settle();
    b.make();
    await waited;
    expect(await b.ahead.next()).toMatchObject({ value: 'a' });
    if (breaks) await expect(b.ahead.next()).rejects.toThrow('lost');
    else expect(await b.ahead.next()).toMatchObject({ done: true });
  }
});

test('what a stop is refused with is thrown while others wait, and so is what there is no room for', async () => {
  const b = bench();
  const waited = b.ahead.until(b.room);
  b.write('a', 'stop badly');
  await expect(waited).rejects.toThrow('no such turn');
  await expect(b.ahead.until(Promise.reject(new Error('over')))).rejects.toThrow('over');
});

describe('bytes of a part that waits', () => {
  const MIB = 1024 * 1024;
  type Inputs = NonNullable<v1.SessionStreamRequest__Output['input']>['inputs'];
  const empty = { name: '', dtype: 'DATA_TYPE_F32', shape: [], data: Buffer.alloc(0), strings: [] };
  const part = (...tensors: Partial<Inputs[number]>[]): v1.SessionStreamRequest__Output => {
    const inputs = tensors.map((tensor) => ({ ...empty, ...tensor })) as Inputs;
    return { message: 'input', input: { turn: 0, part: 0, inputs, last: false } } as never;
  };

  it.each<[string, v1.SessionStreamRequest__Output]>([
    ['content', part({ data: Buffer.alloc(MIB) })],
    ['text', part({ strings: ['a'.repeat(MIB)] })],
    ['texts without letters', part({ strings: Array.from({ length: MIB }, () => '') })],
    ['a name', part({ name: 'a'.repeat(MIB) })],
    ['dimensions', part({ shape: Array.from({ length: MIB }, () => 1) })],
    ['tensors without content', part(...Array.from({ length: MIB / 64 }, () => ({})))],
  ])('are no fewer than it takes, of one that is all %s', (_, request) => {
    expect(waitingBytes(request)).toBeGreaterThanOrEqual(MIB);
  });

  it('are few of a small one, so that as many wait as may', () => {
    const tensor = { name: 'x', shape: [1, 16], data: Buffer.alloc(64) };
    expect(64 * waitingBytes(part(tensor))).toBeLessThan(MIB);
    const command = { sequence: 0, name: 'add', arguments: '{}' };
    expect(64 * waitingBytes({ message: 'command', command } as never)).toBeLessThan(MIB);
  });
});
