import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { Provider } from '@cabstand/model';

/** What another provider cannot mend. */
const FINAL: ReadonlySet<Reason> = new Set<Reason>(['MANIFEST_INVALID', 'INVALID_ARGUMENT']);

/**
 * Tries providers in order of preference until one loads. One that is missing, refused by
 * verification or deadly is told to `onRefused`.
 */
export async function firstProvider<T>(
  providers: readonly Provider[],
  attempt: (provider: Provider) => Promise<T>,
  onRefused: (provider: Provider, error: CabstandError, next: Provider | undefined) => void,
  signal?: AbortSignal,
): Promise<T> {
  const refusals: { provider: Provider; error: CabstandError }[] = [];
  for (const [index, provider] of providers.entries()) {
    try {
      return await attempt(provider);
    } catch (thrown) {
      const error = CabstandError.from(thrown, 'MODEL_FAILED');
      if (FINAL.has(error.reason) || signal?.aborted === true) throw error;
      onRefused(provider, error, providers[index + 1]);
      refusals.push({ provider, error });
    }
  }
  const only = refusals[0];
  if (only !== undefined && refusals.length === 1) throw only.error;
  throw new CabstandError(
    'MODEL_FAILED',
    `no provider serves it: ${refusals.map((r) => `${r.provider}: ${r.error.message}`).join('; ')}`,
    { metadata: Object.fromEntries(refusals.map((r) => [r.provider, r.error.reason])) },
  );
}
