import { CabstandError } from '@cabstand/core';
import { ExitCode, UsageError, describeError, exitCodeOf } from './errors';

test.each([
  [new UsageError('x'), ExitCode.USAGE],
  [new CabstandError('CANCELLED', 'x'), ExitCode.INTERRUPTED],
  [new CabstandError('ROUTER_UNREACHABLE', 'x'), ExitCode.UNREACHABLE],
  [new CabstandError('NODE_UNREACHABLE', 'x'), ExitCode.UNREACHABLE],
  [new CabstandError('NO_NODE', 'x'), ExitCode.UNREACHABLE],
  [new CabstandError('INPUT_SHAPE', 'x'), ExitCode.REFUSED],
  [new CabstandError('MODEL_UNKNOWN', 'x'), ExitCode.REFUSED],
  [new CabstandError('PERMISSION_DENIED', 'x'), ExitCode.REFUSED],
  [new CabstandError('CREDENTIALS_EXPIRED', 'x'), ExitCode.REFUSED],
  [new CabstandError('HOSTER_FULL', 'x'), ExitCode.REFUSED],
  [new CabstandError('ENGINE_CRASHED', 'x'), ExitCode.FAILURE],
  [new CabstandError('MODEL_FAILED', 'x'), ExitCode.FAILURE],
  [new CabstandError('INTERNAL', 'x'), ExitCode.FAILURE],
  [new TypeError('x'), ExitCode.FAILURE],
])('%s ends with its exit code', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

test('an error says its reason and what to do', () => {
  expect(describeError(new CabstandError('ROUTER_UNREACHABLE', 'no answer from a:1'))).toBe(
    'cabstand: no answer from a:1 (ROUTER_UNREACHABLE)\n' +
      '  Is the subnet up? Start one with `cabstand up`, or name its router with --router HOST:PORT.',
  );
  expect(describeError(new CabstandError('ENGINE_CRASHED', 'it died'))).toBe(
    'cabstand: it died (ENGINE_CRASHED)',
  );
  expect(describeError(new UsageError('no file', 'Name one.'))).toBe(
    'cabstand: no file\n  Name one.',
  );
});

test.each<[CabstandError, RegExp]>([
  [
    new CabstandError('ROUTER_UNREACHABLE', 'x', { metadata: { connection: 'no_tls_there' } }),
    /Leave --tls away/,
  ],
  [
    new CabstandError('ROUTER_UNREACHABLE', 'x', { metadata: { connection: 'tls_there' } }),
    /Pass --tls --credentials DIR/,
  ],
  [
    new CabstandError('KEY_UNKNOWN', 'x'),
    /keys\.json .* to every router and hoster[^]*newest NAME/,
  ],
  [new CabstandError('CREDENTIALS_EXPIRED', 'x'), /keys token/],
  [
    new CabstandError('CREDENTIALS_EXPIRED', 'x', { metadata: { key_id: 'client-1' } }),
    /newest NAME\.key\.json/,
  ],
  [
    new CabstandError('NODE_BAD_REPLY', 'x', { metadata: { problem: 'keys_outdated' } }),
    /Copy keys\.json/,
  ],
  [
    new CabstandError('VERIFICATION_FAILED', 'x', { metadata: { reference: 'golden' } }),
    /Either the model is wrong, or .*earlier weights[^]*cabstand model golden NAME --renew/,
  ],
])('the advice on %s fits its cause', (error, advice) => {
  expect(describeError(error)).toMatch(advice);
});
