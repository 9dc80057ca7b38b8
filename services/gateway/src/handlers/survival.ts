import type { RemoteManager, RemoteNode } from '@cabstand/client';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { KnownModels } from '../known-models';
import type { HandlerContext } from './context';
import { askSubnet, distinct } from './info';

/** Versions of models, as hosters describe them. */
export type Described = KnownModels<v1.ModelInfo__Output>;

/** What nodes are known to have under the name of a model. */
export function offersOf(
  { knownNodes }: RemoteManager,
  model: string,
): RemoteNode['models'][number][] {
  return knownNodes.flatMap(({ models }) => models.filter(({ name }) => name === model));
}

/**
 * What a session of a model outlives; unspecified for one that is no module, or that nobody knows. Callers go by
 * it from the first word on, which comes before a hoster has the session: hosters are asked where the model may be
 * a module. Throws what asking failed with where it is one.
 */
export async function survivalOf(
  context: HandlerContext,
  described: Described,
  model: string,
  { principal, signal }: ServerCall,
): Promise<v1.Survival> {
  const offers = offersOf(context.remote, model);
  const isModule = offers.some(({ kind }) => kind === 'module');
  if (offers.length > 0 && !isModule) return 'SURVIVAL_UNSPECIFIED';
  // Its answer is for others too: it does not end with the call that wants it first.
  const asking = { principal, signal: new AbortController().signal };
  const ask = async () => distinct(await askSubnet(context, [model], asking));
  try {
    const versions = await described.versions(model, ask, signal);
    return newest(versions)?.survival ?? 'SURVIVAL_UNSPECIFIED';
  } catch (thrown) {
    if (isModule || signal.aborted) throw thrown;
    // What is wrong with the model is told with the first turn.
    return 'SURVIVAL_UNSPECIFIED';
  }
}

/** The version that new sessions get: the newest one that is ready, or else the newest. */
function newest(versions: readonly v1.ModelInfo__Output[]): v1.ModelInfo__Output | undefined {
  const byVersion = [...versions].sort(
    (a, b) => Number(b.offer?.version) - Number(a.offer?.version),
  );
  return byVersion.find(({ state }) => state === 'MODEL_STATE_READY') ?? byVersion[0];
}
