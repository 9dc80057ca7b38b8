import { CabstandError, abortable, throwIfAborted } from '@cabstand/core';
import { HealthService } from '@cabstand/rpc';
import type { RpcServer, ServingStatus } from '@cabstand/rpc';
import type { Readiness } from './readiness';

export interface HealthOptions {
  /** Answer without credentials. */
  readonly open: boolean;
  /** Ends watches when it aborts, so that they do not hold up the server's shutdown. */
  readonly stopping: AbortSignal;
}

/** Serves grpc.health.v1: every named service, and the server as a whole, is serving when ready. */
export function addHealth(
  server: RpcServer,
  readiness: Readiness,
  services: readonly string[],
  options: HealthOptions,
): void {
  const { open, stopping } = options;
  const known = new Set(['', ...services]);
  const status = (): ServingStatus => (readiness.ready ? 'SERVING' : 'NOT_SERVING');
  server.addService(
    HealthService,
    {
      Check: ({ service }) => {
        if (!known.has(service))
          throw new CabstandError(
            'SERVICE_UNKNOWN',
            `this server has no service ${JSON.stringify(service)}`,
          );
        return { status: status() };
      },
      Watch: async ({ service }, call, out) => {
        // Only changes are told, and only the newest: a slow watcher misses what is over.
        let told: ServingStatus | undefined;
        let wake = (): void => undefined;
        const unlisten = readiness.onChange(() => wake());
        const onStop = (): void => wake();
        stopping.addEventListener('abort', onStop, { once: true });
        try {
          for (;;) {
            const changed = new Promise<void>((resolve) => {
              wake = resolve;
            });
            const now = known.has(service) ? status() : 'SERVICE_UNKNOWN';
            if (now !== told) {
              told = now;
              await out.write({ status: now });
            } else {
              throwIfAborted(stopping);
              await abortable(changed, call.signal);
            }
          }
        } finally {
          unlisten();
          stopping.removeEventListener('abort', onStop);
        }
      },
      List: () => ({
        statuses: Object.fromEntries([...known].map((name) => [name, { status: status() }])),
      }),
    },
    { open },
  );
}
