import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { Provider } from '@cabstand/model';
import { whyByBinding } from './by-binding';

const failed = (reason: Reason, signal?: string): CabstandError =>
  new CabstandError(reason, 'it failed', { metadata: signal === undefined ? {} : { signal } });

test.each<[Provider, CabstandError, RegExp | undefined]>([
  ['cpu', failed('ENGINE_CRASHED', 'SIGSEGV'), /ended the engine/],
  ['cuda', failed('ENGINE_CRASHED', 'SIGBUS'), /ended the engine/],
  // Killed, for its memory say.
  ['cpu', failed('ENGINE_CRASHED', 'SIGKILL'), undefined],
  ['webgpu', failed('ENGINE_CRASHED', 'SIGSEGV'), undefined],
  ['cuda', failed('VERIFICATION_FAILED'), /something else/],
  // Both compute the same there.
  ['cpu', failed('VERIFICATION_FAILED'), undefined],
  ['cuda', failed('MODEL_FAILED'), undefined],
])('on %s, after %s', (provider, error, why) => {
  const found = whyByBinding(provider, error);
  if (why === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(why);
});
