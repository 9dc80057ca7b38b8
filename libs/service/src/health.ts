import { CabstandError, abortable, throwIfAborted } from '@cabstand/core';
import { HealthService } from '@cabstand/rpc';
import type { RpcServer, ServingStatus } from '@cabstand/rpc';
import type { Readiness } from './readiness';

/** Health of parts of a service, under names of their own: a hoster's models. */
export interface PartsHealth {
  /** Each part's name and whether it serves. */
  parts(): ReadonlyMap<string, boolean>;
  /** Calls back after changes. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

export interface HealthOptions {
  /** Answer without credentials; `List` asks for them all the same. */
  readonly open: boolean;
  /** Ends watches when it aborts, so that they do not hold up the server's shutdown. */
  readonly stopping: AbortSignal;
  /** Default: the service has no parts. */
  readonly parts?: PartsHealth | undefined;
}

/** Serves grpc.health.v1: every named service, and the server as a whole, is serving when ready. */
export function addHealth(
  server: RpcServer,
  readiness: Readiness,
  services: readonly string[],
  options: HealthOptions,
): void {
  const { open, stopping, parts } = options;
  const known = new Set(['', ...services]);
  const word = (serving: boolean): ServingStatus => (serving ? 'SERVING' : 'NOT_SERVING');
  /** Undefined for a name that nothing here has. A part serves only while the service takes calls. */
  const status = (service: string): ServingStatus | undefined => {
    if (known.has(service)) return word(readiness.ready);
    const serving = parts?.parts().get(service);
    return serving === undefined ? undefined : word(serving && readiness.ready);
  };
  server.addService(
    HealthService,
    {
      Check: ({ service }) => {
        const now = status(service);
        if (now === undefined)
          throw new CabstandError(
            'SERVICE_UNKNOWN',
            `this server has no service ${JSON.stringify(service)}`,
          );
        return { status: now };
      },
      Watch: async ({ service }, call, out) => {
        // Only changes are told, and only the newest: a slow watcher misses what is over.
        let told: ServingStatus | undefined;
        let wake = (): void => undefined;
        const unlisten = readiness.onChange(() => wake());
        const unlistenParts = parts?.onChange(() => wake());
        const onStop = (): void => wake();
        stopping.addEventListener('abort', onStop, { once: true });
        try {
          for (;;) {
            const changed = new Promise<void>((resolve) => {
              wake = resolve;
            });
            const now = status(service) ?? 'SERVICE_UNKNOWN';
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
          unlistenParts?.();
          stopping.removeEventListener('abort', onStop);
        }
      },
      List: () => ({
        statuses: Object.fromEntries(
          [...known, ...(parts?.parts().keys() ?? [])].map((name) => [
            name,
            { status: status(name) ?? 'SERVICE_UNKNOWN' },
          ]),
        ),
      }),
    },
    // It names models, and whoever knows none may not ask which there are.
    { open, closed: ['List'] },
  );
}
