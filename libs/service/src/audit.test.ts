import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError, FakeClock } from '@cabstand/core';
import type { ServerCall } from '@cabstand/rpc';
import { audited, openAuditLog } from './audit';
import type { AuditLog } from './audit';
import { Closers } from './closers';
import { createLogger } from './log';

let folder: string;
let file: string;
const clock = new FakeClock();
const logger = createLogger({ name: 'test', level: 'silent' });

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-audit-'));
  file = path.join(folder, 'audit.log');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): AuditLog =>
  openAuditLog({ closers: new Closers(logger), logger }, { file }, 'router', clock);

const records = (of = file): Record<string, unknown>[] =>
  readFileSync(of, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a line says who did what, when and how it ended, and only its owner reads the file', async () => {
  const audit = open();
  const call = {
    principal: { id: 'alice', roles: new Set() },
    peer: '10.0.0.7:1',
  } as unknown as ServerCall;
  const tell = ({ node }: { node: string }) =>
    ({ event: 'node_drained', facts: { node } }) as const;
  await audited(audit, () => 'gone', tell)({ node: 'h-1' }, call);
  const refuse = audited(
    audit,
    () => {
      throw new CabstandError('NODE_UNKNOWN', 'no such node');
    },
    tell,
  );
  await expect(refuse({ node: 'h-2' }, call)).rejects.toThrow('no such node');
  const common = {
    ...{ level: 'info', stream: 'audit', name: 'router', msg: 'node_drained' },
    ...{ principal: 'alice', peer: '10.0.0.7:1', time: new Date(clock.now()).toISOString() },
  };
  expect(records()).toEqual([
    { ...common, node: 'h-1', outcome: 'done' },
    { ...common, node: 'h-2', outcome: 'NODE_UNKNOWN' },
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('it goes on in a new file when the old one was moved, and adds to one that is there', async () => {
  const audit = open();
  audit.record('node_banned', { node: 'a' });
  renameSync(file, `${file}.1`);
  audit.record('node_banned', { node: 'b' });
  await clock.advance(1000);
  audit.record('node_banned', { node: 'c' });
  open().record('node_banned', { node: 'd' });
  expect(records(`${file}.1`).map(({ node }) => node)).toEqual(['a', 'b']);
  expect(records().map(({ node }) => node)).toEqual(['c', 'd']);
});

test('a folder that is gone costs no line, and no call', async () => {
  const audit = open();
  renameSync(folder, `${folder}-moved`);
  await clock.advance(1000);
  audit.record('node_banned', { node: 'a' });
  expect(records(path.join(`${folder}-moved`, 'audit.log'))).toHaveLength(1);
  renameSync(`${folder}-moved`, folder);
});

test('a file that cannot be opened is a mistake in the settings', () => {
  file = path.join(folder, 'none', 'audit.log');
  expect(open).toThrow(/audit\.file: .*none\/audit\.log cannot be opened for appending/);
});

test('without a file nothing is written', () => {
  const audit = openAuditLog({ closers: new Closers(logger), logger }, {}, 'router');
  expect(() => audit.record('node_banned', { node: 'a' })).not.toThrow();
});
