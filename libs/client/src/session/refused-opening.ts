import { CabstandError } from '@cabstand/core';
import { listingModels } from '../remote/unknown-model';
import type { SessionSettings } from './options';

/** Why a session could not be opened, in terms of its options. */
export function refusedOpening(
  thrown: unknown,
  { id, named }: Pick<SessionSettings, 'id' | 'named'>,
): unknown {
  if (!CabstandError.is(thrown)) return thrown;
  const { reason, message, metadata } = thrown;
  if ((reason === 'EPOCH_FENCED' || reason === 'SESSION_EXISTS') && named)
    return new CabstandError(
      reason,
      `the session id ${id} is taken: another consumer has this session at its hoster. Give another id, ` +
        `or none, for a new session; session.export() there and sessions.import() here go on with that one (${message})`,
      { metadata: { ...metadata, field: 'id', value: id }, cause: thrown },
    );
  // A hoster tells the models that it has beside the text.
  const models = metadata['models'];
  if (reason === 'MODEL_UNKNOWN' && models !== undefined)
    return listingModels(thrown, models.split(', '));
  return thrown;
}
