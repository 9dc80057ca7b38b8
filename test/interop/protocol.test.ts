/** docs/protocol.md must say what the code does. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DEFAULT_PERMISSIONS } from '@cabstand/auth';
import { BARE_STATUS, REASONS } from '@cabstand/core';
import { hosterConfigSchema } from '@cabstand/hoster';
import { HosterService, RouterService } from '@cabstand/rpc';
import { REPOSITORY_ROOT } from '@cabstand/testing';

const page = readFileSync(path.join(REPOSITORY_ROOT, 'docs/protocol.md'), 'utf8');

/** Cells of the table rows between `<!-- name:` and `<!-- /name -->`, without backticks. */
function rows(name: string): string[][] {
  const text = page.split(`<!-- ${name}:`)[1]?.split(`<!-- /${name} -->`)[0] ?? '';
  return cells(text).slice(2);
}

function cells(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.slice(1, -1).split('|'))
    .map((row) => row.map((cell) => cell.trim().replaceAll('`', '')));
}

test('the table of reasons has every reason with its code and class', () => {
  const documented = rows('reasons').map(([reason, code, kind]) => [reason, code, kind]);
  expect(documented).toEqual(Object.entries(REASONS).map(([r, row]) => [r, row.code, row.class]));
  for (const [reason, , , meaning] of rows('reasons'))
    expect(`${String(reason)}: ${String(meaning)}`).toMatch(/: \S/);
});

test('the table of bare statuses is the one that clients use', () => {
  const wanted = Object.entries(BARE_STATUS).filter(([code]) => code !== 'OK');
  expect(rows('bare')).toEqual(wanted);
});

const KINDS = {
  unary: 'unary',
  server_stream: 'server streaming',
  client_stream: 'client streaming',
  bidi: 'bidi streaming',
};

test.each([
  ['RouterService', Object.values(RouterService)],
  ['HosterService', Object.values(HosterService)],
])('%s: every method is there, with its kind and roles', (service, methods) => {
  const text = page.split(`**\`cabstand.v1.${service}\`**`)[1]?.split('\n**')[0] ?? '';
  const documented = cells(text.split('\n\n')[1] ?? '')
    .slice(2)
    .map(([method, kind, roles]) => [method, kind, roles?.split(', ')]);
  const actual = methods.map(({ info }) => [
    info.method,
    KINDS[info.kind],
    DEFAULT_PERMISSIONS[info.path],
  ]);
  const byName = (a: unknown[], b: unknown[]): number => String(a[0]).localeCompare(String(b[0]));
  expect(documented.sort(byName)).toEqual(actual.sort(byName));
});

test('the defaults of limits are those of the hoster', () => {
  const config = hosterConfigSchema.parse({});
  expect(rows('limits').length).toBeGreaterThan(10);
  for (const [key, value] of rows('limits')) {
    const [section, name] = (key ?? '').split('.');
    const actual = (config as unknown as Record<string, Record<string, unknown>>)[section ?? '']?.[
      name ?? ''
    ];
    expect([key, value]).toEqual([key, String(actual)]);
  }
});
