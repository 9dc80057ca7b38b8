import { PassThrough } from 'node:stream';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Folder, standInEmptyFolder } from '../folder.fixture';
import { linesOf } from '../logs/lines';
import { runCli } from '../program';

standInEmptyFolder();
const folder = new Folder();
afterAll(() => folder.remove());

/** A line as services write them. */
function line(second: number, msg: string, facts: object = {}): string {
  const time = `2026-01-02T03:04:${String(second).padStart(2, '0')}.000Z`;
  return JSON.stringify({
    level: 'info',
    time,
    pid: 1,
    hostname: 'h',
    name: 'hoster',
    ...facts,
    msg,
  });
}

async function logs(
  args: readonly string[],
  input = '',
  tty = false,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const stdout = Object.assign(new PassThrough(), { isTTY: tty });
  const [stderr, stdin] = [new PassThrough(), new PassThrough()];
  stdin.end(input);
  const code = await runCli(['logs', ...args], {
    ...{ stdout, stderr, env: {}, signal: new AbortController().signal },
    stdin: stdin as unknown as NodeJS.ReadStream,
  });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

/** Messages of what is shown, without times. */
const shown = (out: string): string[] =>
  out
    .trimEnd()
    .split('\n')
    .map((text) => text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /, ''));

const INPUT = [
  line(1, 'listening', { name: 'router', port: 50050 }),
  'Segmentation fault',
  line(2, 'call refused', { level: 'warn', session_id: 'ride-7', principal: 'bob' }),
  `hoster1-1  | ${line(3, 'session opened', { level: 'debug', session_id: 'ride-8' })}`,
  '{"level":"info", broken',
  '{"level":30,"msg":"of something else"}',
  '',
].join('\n');

test('lines of services are for people, and all others as they were', async () => {
  const { code, out } = await logs([], INPUT);
  expect(code).toBe(0);
  expect(shown(out)).toEqual([
    'router: listening  port=50050',
    'Segmentation fault',
    'WARN hoster: call refused  session_id=ride-7 principal=bob',
    'hoster1-1  | DEBUG hoster: session opened  session_id=ride-8',
    '{"level":"info", broken',
    '{"level":30,"msg":"of something else"}',
  ]);
});

test.each([
  [['--level', 'warn'], ['call refused']],
  [
    ['--level', 'info'],
    ['listening', 'call refused'],
  ],
  [['--service', 'router'], ['listening']],
  [
    ['--service', 'router', '--service', 'hoster'],
    ['listening', 'call refused', 'session opened'],
  ],
  [['--session', 'ride-8'], ['session opened']],
  [['--session', 'ride'], []],
])('%j chooses among them', async (args, messages) => {
  const found = shown((await logs(args, INPUT)).out);
  for (const message of ['listening', 'call refused', 'session opened'])
    expect([message, found.some((text) => text.includes(message))]).toEqual([
      message,
      messages.includes(message),
    ]);
  // What came from outside the log has no level and no session.
  expect(found).toContain('Segmentation fault');
});

test('a pattern is looked for in what is read and in what is shown', async () => {
  const found = async (pattern: string) => shown((await logs(['--grep', pattern], INPUT)).out);
  expect(await found('"principal":"b')).toHaveLength(1);
  expect(await found('principal=b.b$')).toHaveLength(1);
  expect(await found('^Seg')).toEqual(['Segmentation fault']);
});

test('several files are one, in the order of their times, with their names', async () => {
  const a = folder.write(
    'hoster-a.log',
    `${line(1, 'a1')}\n${line(4, 'a4')}\n    at a stack\n${line(5, 'a5')}`,
  );
  const b = folder.write(
    'hoster-b.log',
    `${line(2, 'b2')}\r\n${line(4, 'b4')}\n${line(9, 'b9')}\n`,
  );
  expect(shown((await logs([a, b])).out)).toEqual([
    ...['hoster-a: a1', 'hoster-b: b2', 'hoster-a: a4', 'hoster-b: b4'],
    ...['    at a stack', 'hoster-a: a5', 'hoster-b: b9'],
  ]);
  expect(shown((await logs([a, b, '--service', 'hoster-b'])).out)).toHaveLength(3);
});

test('on a terminal, without input, it reads the logs of the local subnet', async () => {
  mkdirSync(path.join(folder.path, 'logs'));
  folder.write('logs/router.log', `${line(1, 'it is up')}\n`);
  const streams = () => ({
    ...{ stdout: new PassThrough(), stderr: new PassThrough(), env: {} },
    stdin: Object.assign(new PassThrough(), { isTTY: true }) as unknown as NodeJS.ReadStream,
    signal: new AbortController().signal,
  });
  const one = streams();
  expect(await runCli(['logs', '--data', folder.path], one)).toBe(0);
  expect(String(one.stdout.read())).toContain('it is up');
  const none = streams();
  expect(await runCli(['logs'], none)).toBe(2);
  expect(String(none.stderr.read())).toContain('nothing to read: .cabstand/logs');
});

test('text from elsewhere cannot move the cursor of a terminal', async () => {
  const { out } = await logs(
    [],
    `a\tb\u001b[2J\n${line(1, 'x\u001b[2J', { level: 'warn' })}\n`,
    true,
  );
  expect(out).toContain('a\tb\ufffd[2J\n');
  expect(out).toContain('\u001b[33mWARN');
  expect(out).not.toContain('\u001b[2J');
});

test.each([
  [['nowhere.log'], 'nowhere.log: there is no such file'],
  [['.'], '. is a folder'],
  [['--level', 'loud'], 'Expected one of trace, debug, info, warn, error, fatal.'],
  [['--grep', '('], 'Not a regular expression'],
])('%j is told in plain words', async (args, message) => {
  expect(await logs(args)).toMatchObject({
    code: 2,
    err: expect.stringContaining(message) as string,
  });
});

test('a signal ends it though nothing comes in', async () => {
  const stopping = new AbortController();
  const stdout = new PassThrough();
  const stdin = new PassThrough();
  const ran = runCli(['logs'], {
    ...{ stdout, stderr: new PassThrough(), env: {}, signal: stopping.signal },
    stdin: stdin as unknown as NodeJS.ReadStream,
  });
  stdin.write(`${line(1, 'it is up')}\n`);
  // It is shown at once, not when more has come.
  await new Promise((resolve) => stdout.once('readable', resolve));
  stopping.abort();
  expect(await ran).toBe(130);
});

test('characters are whole though bytes come apart, and a line without an end is taken in pieces', async () => {
  const bytes = Buffer.from('ä\nü');
  async function* parts(): AsyncGenerator<Buffer> {
    for (const byte of bytes) yield await Promise.resolve(Buffer.of(byte));
  }
  const all = async (stream: AsyncIterable<Buffer>) => {
    const lines: string[] = [];
    for await (const one of linesOf(stream)) lines.push(one);
    return lines;
  };
  expect(await all(parts())).toEqual(['ä', 'ü']);
  async function* endless(): AsyncGenerator<Buffer> {
    for (let i = 0; i < 40; i++) yield await Promise.resolve(Buffer.alloc(8192, 'x'));
  }
  const pieces = await all(endless());
  expect(pieces.join('')).toHaveLength(40 * 8192);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
});
