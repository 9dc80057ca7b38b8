import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CabstandError } from '@cabstand/core';
import { z } from 'zod';
import { loadConfig } from './load';

const schema = z.strictObject({
  listen: z.string().default('127.0.0.1:1'),
  routers: z.array(z.string()).default([]),
  weights: z.array(z.number()).default([]),
  limits: z
    .strictObject({
      max_sessions: z.int().min(1).default(10),
      strict: z.boolean().default(false),
    })
    .prefault({}),
  auth: z
    .strictObject({ token: z.string().optional(), mode: z.enum(['none', 'keys']).default('none') })
    .prefault({}),
  tls: z.strictObject({ cert: z.string() }).optional(),
  models: z.record(z.string(), z.strictObject({ threads: z.number() })).default({}),
});

const program = { name: 'test', summary: '', schema };

function load(options: { yaml?: string; env?: Record<string, string>; argv?: string[] }) {
  const argv = [...(options.argv ?? [])];
  if (options.yaml !== undefined) {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'cabstand-')), 'test.yaml');
    writeFileSync(file, options.yaml);
    argv.push('--config', file);
  }
  const loaded = loadConfig(program, { argv, env: options.env ?? {} });
  if (loaded.kind !== 'config') throw new Error('expected a configuration');
  return loaded;
}

function refusal(options: Parameters<typeof load>[0]): CabstandError {
  try {
    load(options);
  } catch (thrown) {
    return thrown as CabstandError;
  }
  throw new Error('expected a refusal');
}

test('file, then environment, then flags', () => {
  const yaml = 'listen: a:1\nlimits: {max_sessions: 1, strict: true}\nauth: {mode: keys}\n';
  const env = { CABSTAND_LISTEN: 'b:2', CABSTAND_LIMITS_MAX_SESSIONS: '2' };
  const { config } = load({ yaml, env, argv: ['--limits-max-sessions', '3'] });
  expect(config).toMatchObject({
    listen: 'b:2',
    limits: { max_sessions: 3, strict: true },
    auth: { mode: 'keys' },
  });
});

test('every kind of value can be given as text', () => {
  const { config } = load({
    env: { CABSTAND_MODELS: '{g2p: {threads: 2}}', CABSTAND_TLS_CERT: 'c.pem' },
    argv: ['--routers', 'a:1', '--routers', 'b:2,c:3', '--weights=-1,2.5', '--no-limits-strict'],
  });
  expect(config).toMatchObject({
    routers: ['a:1', 'b:2', 'c:3'],
    weights: [-1, 2.5],
    limits: { strict: false },
    models: { g2p: { threads: 2 } },
    tls: { cert: 'c.pem' },
  });
});

test.each([
  [
    { yaml: 'limits: {max_sesions: 3}' },
    /limits\.max_sesions \(.*test\.yaml\): there is no such setting, did you mean limits\.max_sessions\?/,
  ],
  [{ yaml: 'limits: {max_sessions: 0}' }, /limits\.max_sessions \(.*test\.yaml\): .*got 0/],
  [
    { env: { CABSTAND_LIMITS_MAX_SESSIONS: 'x' } },
    /limits\.max_sessions \(environment variable CABSTAND_LIMITS_MAX_SESSIONS\): .*got "x"/,
  ],
  [
    { argv: ['--limits-strict', '--auth-mode', 'all'] },
    /auth\.mode \(flag --auth-mode\): .*got "all"/,
  ],
  [
    { argv: ['--limit-max-sessions', '3'] },
    /no flag --limit-max-sessions, did you mean --limits-max-sessions\?/,
  ],
  [{ argv: ['stray'] }, /stray/],
  [{ yaml: 'a: [' }, /test\.yaml is not YAML/],
  [{ yaml: '- 1' }, /should hold keys and values/],
  [{ argv: ['--config', '/nowhere/x.yaml'] }, /cannot read the configuration \/nowhere\/x\.yaml/],
])('%j is refused with the place named', (options, message) => {
  const error = refusal(options);
  expect(error.reason).toBe('CONFIG_INVALID');
  expect(error.message).toMatch(message);
});

test('all problems are told at once, secrets never', () => {
  const error = refusal({ yaml: 'limits: {max_sessions: 0}\nlisten: 5\nauth: {token: [hush]}' });
  expect(error.message).toMatch(/max_sessions[\s\S]*listen|listen[\s\S]*max_sessions/);
  expect(error.message).not.toContain('hush');
});

test('a variable that nothing reads is a warning: orchestrators set such of their own accord', () => {
  const { warnings } = load({ env: { CABSTAND_LIMITS_MAX_SESSION: '3', PATH: '/bin' } });
  expect(warnings).toEqual([
    'no setting reads the environment variable CABSTAND_LIMITS_MAX_SESSION, did you mean CABSTAND_LIMITS_MAX_SESSIONS?',
  ]);
});

test('keys of a prototype are just unknown keys', () => {
  const error = refusal({ yaml: '__proto__: {a: 1}\nconstructor: {b: 2}' });
  expect(error.message).toContain('constructor');
  expect(({} as { a?: number }).a).toBeUndefined();
});

describe('a list', () => {
  test.each([
    ['as text in the file', { yaml: 'routers: a:1, b:2\nweights: "1,2.5"' }],
    ['as a list in the file', { yaml: 'routers: [a:1, b:2]\nweights: [1, 2.5]' }],
    ['in the environment', { env: { CABSTAND_ROUTERS: 'a:1,b:2', CABSTAND_WEIGHTS: '1,2.5' } }],
    ['as a flag', { argv: ['--routers', 'a:1', '--routers', 'b:2', '--weights', '1,2.5'] }],
  ])('%s', (_where, options) => {
    expect(load(options).config).toMatchObject({ routers: ['a:1', 'b:2'], weights: [1, 2.5] });
  });
});

describe('a relative path', () => {
  const withPaths = {
    name: 'test',
    summary: '',
    schema: z.strictObject({
      folders: z.array(z.string().meta({ takes: 'path' })).default(['models']),
      cache: z.string().meta({ takes: 'path' }).optional(),
      tls: z.strictObject({ cert: z.string().meta({ takes: 'path' }).optional() }).optional(),
      name: z.string().optional(),
    }),
  };
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-'));
  const file = path.join(folder, 'test.yaml');
  const read = (yaml: string, argv: string[] = [], env: Record<string, string> = {}) => {
    writeFileSync(file, yaml);
    const loaded = loadConfig(withPaths, { argv: ['--config', file, ...argv], env });
    return loaded.kind === 'config' ? loaded.config : undefined;
  };

  test('in a file is relative to the file, one or several; empty and absolute ones stay', () => {
    const yaml = 'folders: a, /b\ncache: ""\ntls: {cert: ../c.pem}\nname: d';
    expect(read(yaml)).toEqual({
      folders: [path.join(folder, 'a'), '/b'],
      cache: '',
      tls: { cert: path.join(path.dirname(folder), 'c.pem') },
      name: 'd',
    });
  });

  test('of a flag, a variable or a default is left to the working directory', () => {
    const config = read('cache: x\ntls: {cert: y}', ['--cache', 'z'], { CABSTAND_TLS_CERT: 'w' });
    expect(config).toEqual({ folders: ['models'], cache: 'z', tls: { cert: 'w' } });
  });

  test('in a file that is named relatively is relative to the same place', () => {
    writeFileSync(file, 'cache: x');
    const argv = ['--config', path.relative(process.cwd(), file)];
    expect(loadConfig(withPaths, { argv, env: {} })).toMatchObject({
      config: { cache: path.join(folder, 'x') },
    });
  });
});

test.each([
  [{ yaml: 'limits: {max_sessions: many}' }, 'expected a number, got "many"'],
  [{ yaml: 'limits: {max_sessions: 1.5}' }, 'expected a whole number, got 1.5'],
  [{ yaml: 'limits: {max_sessions: 0}' }, 'expected at least 1, got 0'],
  [{ yaml: 'limits: {strict: maybe}' }, 'expected true or false, got "maybe"'],
  [{ yaml: 'routers: 5' }, 'expected a list, got 5'],
  [{ yaml: 'limits: 5' }, 'expected keys and values, got 5'],
  [{ yaml: 'auth: {mode: all}' }, 'expected one of none, keys, got "all"'],
  [{ yaml: 'tls: {}' }, 'tls.cert (FILE): is missing, expected text'],
])('%j is told in plain words', (options, words) => {
  const { message } = refusal(options);
  expect(message.replace(/\([^)]*test\.yaml\)/, '(FILE)')).toContain(words);
  expect(message).not.toContain('Invalid');
});
