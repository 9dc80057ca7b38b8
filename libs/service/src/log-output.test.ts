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

test('a line of which a part was written before the disk was full is not joined to the next one', () => {
  let text = '';
  let room = 10;
  const output = logOutput({
    write: (_fd, bytes) => {
      if (room === 0) throw new Error('ENOSPC');
      const part = bytes.subarray(0, room);
      room -= part.length;
      text += part.toString();
      return part.length;
    },
  });
  output.write('first\n');
  output.write('second\n');
  output.write('third\n');
  room = 1000;
  output.write('fourth\n');
  const [first, torn, lost, ...rest] = text.trimEnd().split('\n');
  expect([first, torn]).toEqual(['first', 'seco']);
  expect(JSON.parse(lost ?? '')).toMatchObject({ level: 'warn', lines: 2 });
  expect(rest).toEqual(['fourth']);
});
