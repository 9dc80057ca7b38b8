import { createLogger } from './log';
import { prettyLine } from './log-pretty';

const TIME = '2026-01-02T03:04:05.678Z';
const line = (facts: object): string =>
  JSON.stringify({ level: 'info', time: TIME, pid: 1, hostname: 'h', name: 'hoster', ...facts });

test('time, message and facts; the level where it is not info', () => {
  expect(
    prettyLine(line({ port: 1, share: 0.012345, a: 'b c', msg: 'it is up' }), { colours: false }),
  ).toMatch(/^\d\d:\d\d:05 it is up {2}port=1 share=0\.0123 a="b c"\n$/);
  expect(prettyLine(line({ level: 'warn', msg: 'careful' }), { colours: false })).toMatch(
    /^\d\d:\d\d:05 WARN careful\n$/,
  );
});

test('colours only where they are wanted', () => {
  const warning = line({ level: 'warn', msg: 'careful' });
  expect(prettyLine(warning, { colours: false })).not.toContain('\u001b');
  expect(prettyLine(warning, { colours: true })).toContain('\u001b[33mWARN\u001b[39m');
});

test('what callers send cannot move the cursor, and long facts are cut', () => {
  const text = prettyLine(line({ principal: '\u001b[2J', x: 'y'.repeat(500), msg: 'm\r' }), {
    colours: false,
  });
  expect(text).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(text.length).toBeLessThan(200);
});

test('for whoever reads it later it has the date and whose line it is, and is not cut', () => {
  const facts = line({ a: 'y'.repeat(300), msg: 'it is up' });
  expect(prettyLine(facts, { colours: false, later: { name: 'hoster-1' } })).toMatch(
    /^2026-01-0\d \d\d:\d\d:05\.678 hoster-1: it is up {2}a=y{300}\n$/,
  );
});

describe('an error', () => {
  function written(facts: object): string {
    let text = '';
    const logger = createLogger({
      name: 'test',
      format: { kind: 'pretty', colours: false },
      destination: { write: (more) => void (text += more) },
    });
    logger.error(facts, 'it failed');
    return text;
  }

  test('that nobody expected has its stack, on lines of its own', () => {
    const text = written({ err: new TypeError('x is undefined') });
    expect(text).toMatch(/ERROR it failed {2}error="x is undefined"\n {4}at /);
  });

  test('of ours has none', () => {
    const err = Object.assign(new Error('no such file'), { reason: 'INVALID_ARGUMENT' });
    expect(written({ err })).toMatch(/ERROR it failed {2}error="no such file"\n$/);
  });
});
