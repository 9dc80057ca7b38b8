import { CabstandError, REASONS, invalid } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { toldFailure, toldRefusal } from './told-error';

const SENT = 'xyzzyplugh';

test.each([
  ['prompt', 'prompt'],
  ['resume.replay.record', 'resume.replay.record'],
  ['inputs[12].name', 'inputs[12].name'],
  [`parameter ${SENT}`, 'parameter …'],
  [`tensors.${SENT}.base64`, 'tensors.…'],
  [`tensor "${SENT}" shape`, 'tensor …'],
  [`${SENT} element 3`, '…'],
  [`inputs[${SENT}]`, 'inputs…'],
  [`prompt${SENT}`, '…'],
])('the field %s is told as %s', (field, told) => {
  const error = invalid('INVALID_ARGUMENT', field, SENT, `no ${SENT}`);
  expect(toldRefusal(error)).toEqual({ field: told });
  expect(error.message).toContain(SENT);
});

const REFUSALS = Object.keys(REASONS) as Reason[];

test('no refusal for what was sent, nor of a module, has its message, its facts or its cause', () => {
  const quiet = REFUSALS.filter((reason) => {
    const cause = new SyntaxError(`Unexpected token 'x', "${SENT}" is not valid JSON`);
    const metadata = { value: SENT, expected: SENT, command: SENT };
    const error = new CabstandError(reason, `"${SENT}" it was`, { metadata, cause });
    return !JSON.stringify(toldRefusal(error)).includes(SENT);
  });
  const due = REFUSALS.filter(
    (reason) =>
      ['caller', 'fatal', 'session', 'node'].includes(REASONS[reason].class) &&
      reason !== 'PERMISSION_DENIED',
  );
  expect(due).toEqual(expect.arrayContaining(['INPUT_UNKNOWN', 'MODULE_FAILED', 'COMMAND_FAILED']));
  expect(quiet).toEqual(due);
});

test('who was refused for credentials or load is told why, with the cause', () => {
  const cause = new Error('there is no such key');
  expect(toldRefusal(new CabstandError('KEY_UNKNOWN', 'not you', { cause }))).toEqual({
    message: 'not you',
    cause: 'there is no such key',
  });
  expect(toldRefusal(new CabstandError('HOSTER_FULL', '4 of 4'))).toEqual({ message: '4 of 4' });
});

test('a failure is told with where it was, and not with what it quotes, nor are its causes', () => {
  let broken: unknown;
  try {
    JSON.parse(SENT);
  } catch (error) {
    broken = error;
  }
  const run = new CabstandError('INTERNAL', `the model run failed: ${SENT}`, { cause: broken });
  const told = toldFailure(new Error('it failed', { cause: run }));
  expect(JSON.stringify(told)).not.toContain(SENT);
  expect(told).toMatchObject({
    type: 'Error',
    message: 'it failed',
    stack: expect.stringMatching(/^Error\n {4}at .*told-error\.test/) as string,
    cause: {
      reason: 'INTERNAL',
      message: 'the model run failed…',
      cause: { type: 'SyntaxError', message: 'Unexpected token …' },
    },
  });
  expect(toldFailure(SENT)).toEqual({ type: 'string', message: 'no error was thrown' });
});

test('a failure whose causes go round has an end', () => {
  const error = new Error('it');
  error.cause = error;
  expect(JSON.stringify(toldFailure(error)).match(/"message":"it"/g)).toHaveLength(6);
});
