import { FakeClock } from '@cabstand/core';
import { watchDescriptors } from './descriptors';

test('a process without file descriptors says so, not each second, and when it has some again', async () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const say = (_fields: object, message: string): void => void said.push(message);
  let code: string | undefined;
  const attempt = (): Promise<void> =>
    code === undefined
      ? Promise.resolve()
      : Promise.reject(Object.assign(new Error('x'), { code }));
  const end = watchDescriptors({ log: { warn: say, error: say }, clock, attempt });
  await clock.advance(1000);
  code = 'ENOENT';
  await clock.advance(1000);
  expect(said).toEqual([]);
  code = 'EMFILE';
  for (let i = 0; i < 60; i++) await clock.advance(1000);
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/^out of file descriptors.*ulimit -n/);
  await clock.advance(1000);
  expect(said).toHaveLength(2);
  code = undefined;
  await clock.advance(1000);
  expect(said.at(-1)).toBe('file descriptors are free again');
  end();
  expect(clock.pending).toBe(0);
});
