import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { CabstandError } from '@cabstand/core';
import { statusOf } from './session-status';
import type { SessionStatus } from './types';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

type Failing = (reach: object) => CabstandError;

const FAILURES: readonly (readonly [string, Failing])[] = [
  // A frame of the stack is a method of what is in reach, as those of calls and sessions are.
  ['the frames of an error', (reach) => ({ reach, fail: () => broken(), ...METHOD }).run()],
  ['the cause of an error', (reach) => broken(Object.assign(new Error('x'), { reach }))],
];
const METHOD = {
  run(this: { readonly reach: object; fail: () => CabstandError }): CabstandError {
    return this.fail();
  },
};

function broken(cause?: Error): CabstandError {
  return new CabstandError('TURN_POISONED', 'it broke', { metadata: { turn: '3' }, cause });
}

/** How a session is that failed, and a view of what was in reach where it did. */
function failed(fail: Failing): {
  readonly status: SessionStatus;
  readonly reach: WeakRef<object>;
} {
  const reach = { request: Buffer.alloc(1024) };
  const session = {
    ...{ id: 'a', state: 'ended' as const, position: 4, turn: 1, turnRuns: false, base: 2 },
    ...{ epoch: { counter: 1, owner: 'aa' }, model: { name: 'm' } },
  };
  const status = statusOf({ ...session, end: { reason: 'error', error: fail(reach) } });
  return { status, reach: new WeakRef(reach) };
}

test.each(FAILURES)('how a session ended is remembered without %s', async (_name, fail) => {
  const { status, reach } = failed(fail);
  // A weak reference holds until the end of the task that made it.
  await setImmediate();
  collect();
  expect(reach.deref()).toBeUndefined();
  expect(status.end).toMatchObject({
    reason: 'error',
    error: { reason: 'TURN_POISONED', message: 'it broke', metadata: { turn: '3' } },
  });
});
