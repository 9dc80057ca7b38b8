import { CabstandError } from '@cabstand/core';
import type { Provider } from '@cabstand/model';
import { firstProvider } from './providers';

const refused = new CabstandError('VERIFICATION_FAILED', 'it computes something else');
const missing = new CabstandError('MODEL_FAILED', 'no such provider');

function tries(results: Partial<Record<Provider, CabstandError>>) {
  const tried: Provider[] = [];
  const told: [Provider, string, Provider | undefined][] = [];
  return {
    tried,
    told,
    attempt: async (provider: Provider) => {
      tried.push(provider);
      const error = results[provider];
      if (error !== undefined) throw error;
      return `on ${provider}`;
    },
    onRefused: (provider: Provider, error: CabstandError, next: Provider | undefined) => {
      told.push([provider, error.reason, next]);
    },
  };
}

test('the first that works serves, and those before it are told', async () => {
  const t = tries({ cuda: missing, webgpu: refused });
  await expect(
    firstProvider(['cuda', 'webgpu', 'cpu', 'tensorrt'], t.attempt, t.onRefused),
  ).resolves.toBe('on cpu');
  expect(t.tried).toEqual(['cuda', 'webgpu', 'cpu']);
  expect(t.told).toEqual([
    ['cuda', 'MODEL_FAILED', 'webgpu'],
    ['webgpu', 'VERIFICATION_FAILED', 'cpu'],
  ]);
});

test('a single one fails with its own error', async () => {
  const t = tries({ cpu: refused });
  await expect(firstProvider(['cpu'], t.attempt, t.onRefused)).rejects.toBe(refused);
});

test('several fail with all their reasons', async () => {
  const t = tries({ cuda: missing, cpu: refused });
  await expect(firstProvider(['cuda', 'cpu'], t.attempt, t.onRefused)).rejects.toMatchObject({
    reason: 'MODEL_FAILED',
    metadata: { cuda: 'MODEL_FAILED', cpu: 'VERIFICATION_FAILED' },
  });
});

test('what no provider can mend ends the search', async () => {
  const t = tries({ cuda: new CabstandError('MANIFEST_INVALID', 'wrong axis') });
  await expect(firstProvider(['cuda', 'cpu'], t.attempt, t.onRefused)).rejects.toMatchObject({
    reason: 'MANIFEST_INVALID',
  });
  expect(t.tried).toEqual(['cuda']);
});

test('a stop ends the search', async () => {
  const stop = new AbortController();
  const t = tries({ cuda: missing });
  const attempt = async (provider: Provider) => {
    stop.abort();
    return await t.attempt(provider);
  };
  await expect(firstProvider(['cuda', 'cpu'], attempt, t.onRefused, stop.signal)).rejects.toBe(
    missing,
  );
  expect(t.tried).toEqual(['cuda']);
});
