import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { normalizeAudience } from '@cabstand/auth';
import { decodeJwt } from 'jose';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';
import { issueToken, writeClientToken } from './subnet-tokens';

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-tokens-'));
beforeAll(() => generateSubnetKeys({ folder }));
afterAll(() => rmSync(folder, { recursive: true }));

test('the token of two local subnets of one folder is good at the servers of both', async () => {
  await writeClientToken(folder, ['127.0.0.1:50050']);
  await writeClientToken(folder, ['127.0.0.1:50054']);
  const { aud } = decodeJwt(readFileSync(subnetPaths(folder).token('client'), 'utf8').trim());
  expect(aud).toEqual(['127.0.0.1:50054', '127.0.0.1:50050'].map(normalizeAudience));
});

test.each(['http://localhost:50051', 'localhost', 'a b:1', 'a,b:1'])(
  '%s is no server that a token may be for',
  (audience) => {
    expect(() => issueToken({ folder, subject: 'bob', audience: [audience] })).toThrow(
      /1 to 100 of host:port/,
    );
  },
);

test('an IPv6 address in brackets is one', async () => {
  const token = await issueToken({ folder, subject: 'bob', audience: ['[2001:db8::1]:50051'] });
  expect(decodeJwt(token).aud).toBe('[2001:db8::1]:50051');
});
