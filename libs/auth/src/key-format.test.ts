import { checkKeySet } from './key-format';
import { failure } from './keys.fixture';
import { parseKeySet } from './keys';

/** https://www.rfc-editor.org/rfc/rfc8037#appendix-A.2 */
const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
const entry = { kty: 'OKP', crv: 'Ed25519', x, kid: 'a-1', principal: 'a', roles: ['client'] };
const parse = (changes: object) => parseKeySet({ keys: [{ ...entry, ...changes }] }, 'keys.json');

test('an entry that says no more is good for requests, for ever', () => {
  const [key] = [...parse({}).all()];
  expect(key).toMatchObject({ id: 'a-1', notBeforeMs: 0, notAfterMs: Infinity });
  expect([...key!.uses]).toEqual(['request']);
});

test('what else a file says is kept', () => {
  const file = { note: 'ours', keys: [{ ...entry, uses: ['issue'], colour: 'red' }] };
  expect(checkKeySet(file, 'keys.json')).toEqual(file);
});

test.each([
  ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ['2024-02-29T10:00+05:30', Date.UTC(2024, 1, 29, 4, 30)],
  ['2024-12-31T23:59:59.5-01:00', Date.UTC(2025, 0, 1, 0, 59, 59, 500)],
])('%s is a time', (time, ms) => {
  expect([...parse({ not_after: time }).all()][0]?.notAfterMs).toBe(ms);
});

test.each<[string, object]>([
  ['keys.0.kty', { kty: 'EC' }],
  ['keys.0.x', { x: 'short' }],
  ['keys.0.kid', { kid: '../a' }],
  ['keys.0.principal', { principal: undefined }],
  ['keys.0.roles', { roles: 'client' }],
  ['keys.0.roles.1', { roles: ['client', 'root'] }],
  ['keys.0.uses.0', { uses: ['all'] }],
  ['keys.0.d', { d: 'A'.repeat(43) }],
  ['keys.0.max_priority', { max_priority: 10 }],
  ['keys.0.max_priority', { max_priority: '3' }],
  ['keys.0.not_before', { not_before: '2026-02-30T00:00:00Z' }],
  ['keys.0.not_before', { not_before: '2026-02-01T25:00:00Z' }],
  ['keys.0.not_after', { not_after: '2026-02-01' }],
  ['keys.0.not_after', { not_after: 1_800_000_000_000 }],
])('%s is named where it is wrong (%j)', async (field, changes) => {
  const error = await failure(() => parse(changes));
  expect(error.reason).toBe('INVALID_ARGUMENT');
  expect(error.message).toContain(`keys.json: ${field} `);
  expect(error.metadata).toEqual({ file: 'keys.json', field });
});

test.each([null, [], 'keys', { keys: {} }, { keys: [7] }])('%j is no key set', async (value) => {
  expect((await failure(() => parseKeySet(value, 'keys.json'))).reason).toBe('INVALID_ARGUMENT');
});
