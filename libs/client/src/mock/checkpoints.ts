import { randomUUID } from 'node:crypto';
import { BoundedMap, CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { Checkpoint } from '../protocol/events';

/** What a mocked hoster needs to go on with a session that another one had. */
export interface MockSnapshot {
  readonly sessionId: string;
  readonly model: string;
  readonly digest: string;
  readonly position: number;
  /** The turn that was running, or the next one. */
  readonly turn: number;
  /** Where that turn begins. */
  readonly turnStart: number;
  /** Parts of its live input applied so far. */
  readonly parts: readonly (readonly Tensor[])[];
}

const MOST = 10_000;

/** Stands for the subnet's seal key: what it sealed, any mocked hoster can open, and nobody else. */
export class MockCheckpoints {
  readonly #snapshots = new BoundedMap<string, MockSnapshot>(MOST);

  seal(snapshot: MockSnapshot): Checkpoint {
    const key = randomUUID();
    this.#snapshots.set(key, snapshot);
    return { position: snapshot.position, sealed: Buffer.from(key) };
  }

  /** Throws CHECKPOINT_INVALID, or SESSION_LOST for other weights. */
  open(
    checkpoint: Checkpoint,
    { sessionId, model, digest }: Pick<MockSnapshot, 'sessionId' | 'model' | 'digest'>,
  ): MockSnapshot {
    const snapshot = this.#snapshots.get(Buffer.from(checkpoint.sealed).toString());
    if (snapshot === undefined) throw refused('damaged');
    if (snapshot.sessionId !== sessionId) throw refused('session');
    if (snapshot.model !== model) throw refused('model');
    if (snapshot.digest !== digest)
      throw new CabstandError('SESSION_LOST', 'the model has other weights here', {
        metadata: { problem: 'other_weights' },
      });
    if (snapshot.position !== checkpoint.position) throw refused('position');
    return snapshot;
  }
}

function refused(problem: string): CabstandError {
  return new CabstandError('CHECKPOINT_INVALID', `the checkpoint is of no use here: ${problem}`, {
    metadata: { problem },
  });
}
