import { PassThrough } from 'node:stream';
import { Lines } from './lines';

/** Somebody at a terminal, and what is seen there. */
function typing() {
  const stdin = new PassThrough() as unknown as PassThrough & NodeJS.ReadStream;
  let seen = '';
  const interrupt = jest.fn();
  const lines = new Lines({
    ...{ stdin, prompt: '> ', columns: () => 80, interrupt },
    write: (text) => {
      seen += text;
      return Promise.resolve();
    },
  });
  return { stdin, lines, interrupt, seen: () => seen };
}

test('lines come one after another, those that were pasted together too', async () => {
  const { stdin, lines, seen } = typing();
  const first = lines.next();
  stdin.write('one\rtwo\r');
  expect(await first).toBe('one');
  expect(await lines.next()).toBe('two');
  expect(seen()).toContain('> ');
  expect(seen()).toContain('one\r\n');
  lines[Symbol.dispose]();
  expect(await lines.next()).toBeUndefined();
});

test('Ctrl-C is told and ends nothing by itself; Ctrl-D ends', async () => {
  const { stdin, lines, interrupt } = typing();
  const line = lines.next();
  stdin.write('\u0003');
  stdin.write('on\r');
  expect(await line).toBe('on');
  expect(interrupt).toHaveBeenCalledTimes(1);
  const next = lines.next();
  stdin.write('\u0004');
  expect(await next).toBeUndefined();
});

test('what is typed while nobody is asked is not seen then, but with the next prompt', async () => {
  const { stdin, lines, seen } = typing();
  stdin.write('early');
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen()).toBe('');
  const line = lines.next();
  stdin.write('\r');
  expect(await line).toBe('early');
  expect(seen()).toContain('early');
});
