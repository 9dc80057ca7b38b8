import { loadProto } from '@cabstand/rpc';
import { z } from 'zod';
import { appliedBody, inputBody, namedBody, resultBody } from './bodies';
import { Commands } from './commands';
import { SessionOver } from './failure';
import { CommandInbox } from './inbox';

class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code = 'too_late';
}

const LIMITS = { resultBytes: 100, commandBytes: 1000 };

const commands = new Commands(
  {
    plain: { handle: (_: unknown, args: unknown) => args },
    json: {
      description: 'Says something',
      arguments: {
        type: 'object',
        properties: { word: { type: 'string', minLength: 1 } },
        required: ['word'],
        additionalProperties: false,
      },
      handle: (_: unknown, { word }: { word: string }) => word.toUpperCase(),
    },
    zod: {
      arguments: z.strictObject({ paused: z.boolean().default(true) }),
      result: z.strictObject({ was: z.boolean() }),
      handle: (_: unknown, { paused }: { paused: boolean }) => ({ was: paused }),
    },
    refuses: {
      handle: () => {
        throw new CommandError('it is over at /srv/models/secret/x.bin');
      },
    },
    talks: {
      handle: () => {
        throw Object.assign(new CommandError('no'), { code: 'c'.repeat(1_000_000) });
      },
    },
    list: {
      arguments: { type: 'array', items: { type: 'object', required: ['a', 'b'] } },
      handle: () => 1,
    },
    throws: {
      handle: () => {
        throw new TypeError('nothing at /srv/models/secret/x.bin');
      },
    },
    large: { handle: () => 'x'.repeat(200) },
    deep: {
      handle: () => {
        let value: unknown[] = [];
        for (let depth = 0; depth < 100_000; depth++) value = [value];
        return value;
      },
    },
    checks: {
      arguments: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: () => {
            throw new RangeError('of the schema itself');
          },
        },
      },
      handle: () => 1,
    },
    wrong: { result: { type: 'number' }, handle: () => 'seven' },
    over: {
      handle: () => {
        throw new SessionOver({});
      },
    },
  },
  LIMITS,
);

const failures: unknown[] = [];
const run = (name: string, args: string) =>
  commands.run(
    { number: 0, name, arguments: args },
    {},
    { own: (thrown) => thrown, failed: (thrown) => failures.push(thrown) },
  );

test.each([
  ['too large', 'plain', `"${'é'.repeat(500)}"`, 'more than 1000 bytes', 'at most 1000 bytes'],
  ['nested too deep', 'plain', `${'['.repeat(101)}${']'.repeat(101)}`, 'deeper', 'at most 100'],
  ['no JSON and too deep', 'plain', '['.repeat(400), 'deeper', 'at most 100'],
])('one that is %s is refused with field, value and limit', async (_, name, args, value, most) => {
  const { error } = (await run(name, args)) as { error: { reason: string; metadata: object } };
  expect(error).toMatchObject({ reason: 'COMMAND_INVALID', metadata: { field: 'arguments' } });
  expect(error.metadata).toMatchObject({
    value: expect.stringContaining(value) as unknown,
    expected: expect.stringContaining(most) as unknown,
  });
});

test('a long name is one that is not known', async () => {
  expect(await run('n'.repeat(4096), '{}')).toMatchObject({ error: { reason: 'COMMAND_UNKNOWN' } });
});

test.each([
  ['plain', '{"a":1}', { json: '{"a":1}' }],
  ['json', '{"word":"hi"}', { json: '"HI"' }],
  ['zod', '{}', { json: '{"was":true}' }],
  ['zod', '{"paused":false}', { json: '{"was":false}' }],
])('%s(%s) has its value as the result', async (name, args, outcome) => {
  expect(await run(name, args)).toEqual(outcome);
});

test.each([
  ['json', '{"word":""}', 'COMMAND_INVALID', /word/],
  ['json', '{"word":"a","more":1}', 'COMMAND_INVALID', /more/],
  ['json', '{', 'COMMAND_INVALID', /JSON/],
  ['zod', '{"paused":"yes"}', 'COMMAND_INVALID', /paused/],
  ['jsno', '{}', 'COMMAND_UNKNOWN', /json/],
  ['refuses', '{}', 'COMMAND_REJECTED', /^it is over at <path>$/],
  ['throws', '{}', 'COMMAND_FAILED', /^TypeError: nothing at <path>$/],
  ['', '{}', 'COMMAND_UNKNOWN', /got ""/],
  ['deep', '{}', 'COMMAND_FAILED', /JSON/],
  ['checks', '{}', 'COMMAND_FAILED', /of the schema itself/],
  ['large', '{}', 'COMMAND_FAILED', /202 bytes of JSON.*at most 100/],
  ['wrong', '{}', 'COMMAND_FAILED', /not what the command declares/],
])('%s(%s) has %s as the result', async (name, args, reason, message) => {
  expect(await run(name, args)).toMatchObject({
    error: { reason, message: expect.stringMatching(message) as unknown },
  });
});

test('a refusal carries its code, and only what is a fault goes to the log', async () => {
  failures.length = 0;
  expect(await run('refuses', '{}')).toMatchObject({ error: { metadata: { code: 'too_late' } } });
  expect(failures).toEqual([]);
  await run('throws', '{}');
  expect(failures).toEqual([expect.any(TypeError)]);
});

test.each([
  ['of hundreds of wrong items', 'list', JSON.stringify(Array(300).fill(1))],
  ['of a key as long as may be', 'json', JSON.stringify({ word: 'a', ['k'.repeat(950)]: 1 })],
  ['that is refused with a long code', 'talks', '{}'],
])('what is told of one %s is brief', async (_, name, args) => {
  const outcome = await run(name, args);
  expect(outcome).toHaveProperty('error');
  expect(resultBody(0, outcome).length).toBeLessThan(2000);
});

test('a session that is over has no results', async () => {
  await expect(run('over', '{}')).rejects.toThrow(SessionOver);
});

test('schemas are told as JSON Schema, those of libraries too', () => {
  const told = Object.fromEntries(commands.descriptions.map(({ name, ...rest }) => [name, rest]));
  expect(told).toMatchObject({
    plain: {},
    json: { description: 'Says something', arguments: { required: ['word'] } },
    zod: {
      arguments: { properties: { paused: { type: 'boolean' } }, additionalProperties: false },
      result: { required: ['was'] },
    },
  });
});

const failing = (reason: string, message = ''): Error =>
  expect.objectContaining({
    reason,
    message: expect.stringContaining(message) as unknown,
  }) as Error;

test.each([
  ['a type that does not exist', { arguments: { type: 'strnig' }, handle: (): number => 1 }],
  [
    'what JSON Schema cannot say',
    { arguments: z.object({ at: z.date() }), handle: (): number => 1 },
  ],
  ['no schema', { arguments: 7, handle: (): number => 1 }],
  ['no handler', { arguments: {} }],
])('a command that declares %s is refused by name', (_, declared) => {
  expect(() => new Commands({ set_prompt: declared }, LIMITS)).toThrow(
    failing('MODULE_FAILED', 'command set_prompt'),
  );
});

test('a command of the name that all models know is refused', () => {
  expect(() => new Commands({ stop: { handle: () => 1 } }, LIMITS)).toThrow(
    failing('MODULE_FAILED', 'commands: got "stop", expected another name'),
  );
});

test('commands come out by number, each once; other content under a number is a conflict', () => {
  const inbox = new CommandInbox(3, 3);
  const call = (number: number, args = '{}') => ({ number, name: 'a', arguments: args });
  inbox.add(call(4));
  expect(inbox.due()).toBeUndefined();
  inbox.add(call(3));
  inbox.add(call(3));
  inbox.add(call(2, 'of a life before'));
  expect(inbox.due()).toEqual(call(3));
  inbox.began(call(3));
  inbox.add(call(3));
  expect(inbox.due()).toEqual(call(4));
  expect(() => inbox.add(call(3, '[]'))).toThrow(failing('COMMAND_CONFLICT'));
  expect(() => inbox.add(call(4, '[]'))).toThrow(failing('COMMAND_CONFLICT'));
  inbox.add(call(5));
  inbox.add(call(6));
  expect(() => inbox.add(call(7))).toThrow(failing('LIMIT_EXCEEDED'));
});

test('commands without a number come out once for each time they came, behind those that are due', () => {
  const inbox = new CommandInbox(0, 2);
  const call = (number: number, args = '{}') => ({ number, name: 'a', arguments: args });
  inbox.add(call(-1));
  inbox.add(call(-1));
  expect(() => inbox.add(call(-1))).toThrow(failing('LIMIT_EXCEEDED'));
  inbox.add(call(0));
  const given: number[] = [];
  // One of a life before leaves those that came alone.
  inbox.began(call(-1));
  for (let due = inbox.due(); due !== undefined; due = inbox.due()) {
    given.push(due.number);
    inbox.began(due);
  }
  expect(given).toEqual([0, -1, -1]);
  expect(inbox.next).toBe(1);
});

test('bodies are what the contract says', () => {
  const contract = loadProto(['cabstand/v1/session.proto']);
  const decoded = (name: string, body: Buffer): unknown => {
    const type = contract[`cabstand.v1.${name}`];
    const read: unknown =
      type !== undefined && 'deserialize' in type ? type.deserialize : undefined;
    if (typeof read !== 'function') throw new Error(`no message ${name}`);
    return Reflect.apply(read, undefined, [body]);
  };
  const args = '{"word":"größer"}';
  expect(decoded('AppliedCommand', appliedBody(300, 'say', args))).toEqual({
    sequence: 300,
    name: 'say',
    arguments: args,
  });
  expect(decoded('AppliedCommand', appliedBody(-1, 'say', args))).toMatchObject({ sequence: -1 });
  expect(decoded('AppliedInput', inputBody(0))).toEqual({ part: 0 });
  expect(decoded('AppliedInput', inputBody(70_000))).toEqual({ part: 70_000 });
  expect(decoded('Message', namedBody('at', '[]'))).toEqual({ name: 'at', json: '[]' });
  expect(decoded('CommandResult', resultBody(1, { json: 'null' }))).toMatchObject({
    sequence: 1,
    value: 'null',
  });
  const error = {
    reason: 'COMMAND_REJECTED',
    message: 'no',
    metadata: { code: 'late', a: '' },
  } as const;
  expect(decoded('CommandResult', resultBody(0, { error }))).toMatchObject({ sequence: 0, error });
});

test('a schema that throws fails its command, and no more', async () => {
  const validate = (): never => {
    throw new TypeError('no locale');
  };
  const throwing = new Commands(
    {
      takes: {
        arguments: { '~standard': { version: 1, vendor: 'test', validate } },
        handle: () => null,
      },
    },
    { commandBytes: 100, resultBytes: 100 },
  );
  const failed: unknown[] = [];
  const outcome = await throwing.run(
    { number: 0, name: 'takes', arguments: '' },
    {},
    { own: (thrown) => thrown, failed: (thrown) => failed.push(thrown) },
  );
  expect(outcome).toMatchObject({
    error: { reason: 'COMMAND_FAILED', message: 'TypeError: no locale' },
  });
  expect(failed).toHaveLength(1);
});
