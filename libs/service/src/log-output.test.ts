import { closeSync, openSync } from 'node:fs';
import { createLogger } from './log';
import { logOutput } from './log-output';

test('a disk without room loses lines and nothing else', () => {
  const fd = openSync('/dev/full', 'w');
  const logger = createLogger({ name: 'test', destination: logOutput({ fd }) });
  for (let i = 0; i < 100; i++) logger.info('this cannot be written');
  closeSync(fd);
});

test('when there is room again, the first line says how many were lost', () => {
  const written: string[] = [];
  let room = false;
  const output = logOutput({
    write: (_fd, bytes) => {
      if (!room) throw new Error('ENOSPC');
      // Never all at once: what is left must follow.
      const part = bytes.subarray(0, 7);
      written.push(part.toString());
      return part.length;
    },
  });
  output.write('first\n');
  output.write('second\n');
  room = true;
  output.write('third\n');
  output.write('fourth\n');
  const [lost, ...rest] = written.join('').trimEnd().split('\n');
  expect(JSON.parse(lost ?? '')).toMatchObject({ level: 'warn', lines: 2 });
  expect(rest).toEqual(['third', 'fourth']);
});
