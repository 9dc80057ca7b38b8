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
  [new CabstandError('INTERNAL', 'x'), ExitCode.FAILURE],
  [new TypeError('x'), ExitCode.FAILURE],
])('%s ends with its exit code', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

test('an error says its reason and what to do', () => {
  expect(describeError(new CabstandError('ROUTER_UNREACHABLE', 'no answer from a:1'))).toBe(
    'cabstand: no answer from a:1 (ROUTER_UNREACHABLE)\n' +
      '  Is the subnet up? Start one with `cabstand up`, or name its router with --router HOST:PORT (and --tls if it speaks TLS).',
  );
  const refused =
    'No connection established. Last error: Error: connect ECONNREFUSED a:1. Resolution note: ';
  expect(describeError(new CabstandError('ENGINE_CRASHED', refused))).toBe(
    'cabstand: no connection: connect ECONNREFUSED a:1 (ENGINE_CRASHED)',
  );
  expect(describeError(new UsageError('no file', 'Name one.'))).toBe(
    'cabstand: no file\n  Name one.',
  );
});
