import type { SessionFacts } from '../session-facts';
import type { SessionDeps } from '../session-init';
import { encodeState } from './checkpoint-body';
import type { CheckpointBody } from './checkpoint-body';
import type { Checkpoint } from '../types';
import { fitsMessage } from '../records/unsendable';

export type Seal = (state: CheckpointBody) => Checkpoint | undefined;

/**
 * Makes checkpoints of one session: they open for its principal, model and position alone. Undefined
 * where no message can hold it: a model that may come to that is not served, but an engine may be
 * wrong about it. The session then goes on from an older one, and from the input since.
 */
export function checkpointSealer(
  session: SessionFacts,
  { sealer, observe, options }: Pick<SessionDeps, 'sealer' | 'observe' | 'options'>,
): Seal {
  const { id, principal, model } = session;
  return (state) => {
    const { position } = state;
    const sealed = sealer.seal(
      { session: id, principal, model: model.name, digest: model.digest, position },
      ...encodeState(state),
    );
    if (!fitsMessage(sealed.byteLength, options.messageBytes)) return undefined;
    observe({ kind: 'checkpoint', session, bytes: sealed.byteLength });
    return { position, sealed };
  };
}
