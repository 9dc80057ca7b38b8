import type { SessionFacts } from './session-facts';
import type { SessionDeps } from './session-init';
import { encodeState } from './state-at';
import type { StateAt } from './state-at';
import type { Checkpoint } from './types';

/** Makes checkpoints of one session: they open for its principal, model and position alone. */
export function checkpointSealer(
  session: SessionFacts,
  { sealer, observer }: Pick<SessionDeps, 'sealer' | 'observer'>,
): (state: StateAt) => Checkpoint {
  const { id, principal, model } = session;
  return (state) => {
    const { position } = state;
    const sealed = sealer.seal(
      { session: id, principal, model: model.name, digest: model.digest, position },
      encodeState(state),
    );
    observer.checkpoint?.(session, sealed.byteLength);
    return { position, sealed };
  };
}
