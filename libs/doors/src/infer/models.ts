/** Questions about models that gRPC and HTTP both answer. */
import { CabstandError } from '@cabstand/core';
import type { Caller, ModelFacts, Serving } from '../serving';

/** False for a model that is not known, or that takes no new sessions. */
export async function modelReady(
  serving: Serving,
  name: string,
  version: string | undefined,
  caller: Caller,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await serving.model(name, version, caller, signal)).state === 'ready';
  } catch (thrown) {
    if (CabstandError.from(thrown).class === 'caller') return false;
    throw thrown;
  }
}

/** Models of that name and version; empty stands for all. Throws MODEL_UNKNOWN for a name that none has. */
export async function modelsNamed(
  serving: Serving,
  name: string,
  version: string,
  caller: Caller,
  signal: AbortSignal,
): Promise<readonly ModelFacts[]> {
  const all = await serving.models(caller, signal);
  const named = all.filter(
    (model) =>
      (name === '' || model.name === name) && (version === '' || model.version === version),
  );
  // Says why there is none.
  if (named.length === 0 && name !== '')
    return [await serving.model(name, version === '' ? undefined : version, caller, signal)];
  return named;
}
