import type { Clock, Timer } from '@cabstand/core';
import type { ServedModel } from '@cabstand/sessions';
import type { ModelHost } from './model-host';

/** What is asked of a host that loads its models. */
export interface LoadingHost extends Pick<ModelHost, 'settled' | 'onChange'> {
  models(): readonly Pick<ServedModel, 'status'>[];
}

/**
 * Resolves when a hoster may make itself known: each model has loaded or failed, or one has served for
 * `patienceMs` while others still load. Those are announced when they are ready, as any that comes later.
 * Rejects as `settled()` does.
 */
export async function someServe(
  host: LoadingHost,
  patienceMs: number,
  clock: Clock,
): Promise<void> {
  let timer: Timer | undefined;
  let unsubscribe = (): void => undefined;
  const enough = new Promise<void>((resolve) => {
    const look = (): void => {
      if (timer === undefined && host.models().some(({ status }) => status.state === 'ready'))
        timer = clock.setTimer(resolve, patienceMs);
    };
    unsubscribe = host.onChange(look);
    look();
  });
  try {
    await Promise.race([host.settled(), enough]);
  } finally {
    unsubscribe();
    timer?.cancel();
  }
}
