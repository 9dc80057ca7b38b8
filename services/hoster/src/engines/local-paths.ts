import path from 'node:path';
import { CabstandError } from '@cabstand/core';

/**
 * The error as callers may read it: files of a model are named from its repository on, so that nobody
 * learns how this machine's folders are called. Its cause has the whole paths, for the log.
 *
 * @param folder of the model: `<repository>/<name>`.
 */
export function withoutLocalPaths(error: CabstandError, folder: string): CabstandError {
  const repository = path.dirname(folder);
  const said = (text: string): string => {
    const named = text.replaceAll(folder, path.basename(folder));
    return repository === path.parse(repository).root
      ? named
      : named.replaceAll(repository, path.basename(repository));
  };
  const { reason, retryAfterMs } = error;
  const facts = Object.entries(error.metadata);
  if (![error.message, ...facts.map(([, value]) => value)].some((text) => said(text) !== text))
    return error;
  return new CabstandError(reason, said(error.message), {
    metadata: Object.fromEntries(facts.map(([key, value]) => [key, said(value)])),
    cause: error,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
