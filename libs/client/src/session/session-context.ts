import type { Clock } from '@cabstand/core';
import type { SessionProtocol } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import type { RetryContext } from '../retry/opener';
import type { HandleContent } from './handle';
import type { KnownModels } from './model-inputs';
import type { SessionSettings } from './options';
import type { Joining } from './whereabouts';

export interface SessionContext {
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
  readonly retry: Omit<RetryContext, 'onRetry'>;
  readonly clock: Clock;
  readonly models: KnownModels;
  /** Largest message that may be sent. */
  readonly maxMessageBytes: number;
  readonly settings: SessionSettings;
  readonly signal: AbortSignal | undefined;
  /** Set for a session that another process had. */
  readonly handle?: HandleContent;
  /** Set where nothing but its name is known of that session. */
  readonly joins?: Joining;
  /** The session is closed. */
  readonly released: () => void;
}
