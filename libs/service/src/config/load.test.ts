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

test('variables of the command line are ignored, save those that mean the same', () => {
  const { config, warnings } = load({
    env: {
      CABSTAND_TLS: '1',
      CABSTAND_ROUTERS: 'a:1,b:2',
      CABSTAND_HOSTER: 'c:3',
      CABSTAND_CREDENTIALS: 'keys',
      CABSTAND_KEY: 'x.key.json',
      CABSTAND_TOKEN: 'x',
    },
  });
  expect(warnings).toEqual([]);
  expect(config.tls).toBeUndefined();
  expect(config.auth.token).toBeUndefined();
  expect(config.routers).toEqual(['a:1', 'b:2']);
});

test('keys of a prototype are just unknown keys', () => {
  const error = refusal({ yaml: '__proto__: {a: 1}\nconstructor: {b: 2}' });
  expect(error.message).toContain('constructor');
  expect(({} as { a?: number }).a).toBeUndefined();
});
