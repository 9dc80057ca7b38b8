/**
 * The client side of the served benchmarks, in a process of its own: keeps sessions streaming turn
 * after turn, and counts what arrives within the measured window.
 */
import { createHistogram } from 'node:perf_hooks';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';

export interface ClientRound {
  readonly routers: readonly string[];
  readonly auth: AuthConfigInput;
  readonly model: string;
  /** Public input and the samples that one record consumes. */
  readonly input: string;
  readonly frame: number;
  readonly sessions: number;
  /** Records of a turn. */
  readonly turn: number;
  readonly warmSeconds: number;
  readonly seconds: number;
}

export interface ClientFigures {
  readonly records: number;
  readonly seconds: number;
  /** Milliseconds between two records of a session, within a turn. */
  readonly gapMedian: number;
  readonly gapP99: number;
  /** Milliseconds from the call to the first record of a session's first turn. */
  readonly first: readonly number[];
}

export type ClientMessage =
  | { readonly event: 'measuring' }
  | { readonly event: 'measured'; readonly figures: ClientFigures }
  | { readonly event: 'failed'; readonly error: string };

const tell = (message: ClientMessage): void => void process.send?.(message);

async function round(job: ClientRound): Promise<ClientFigures> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(job.auth));
  const remote = new RemoteManager({ routers: job.routers, authorizer });
  const manager = new SessionManager(remote);
  const stop = new AbortController();
  const gaps = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
  const first: number[] = [];
  let records = 0;
  const isOver = (): boolean => stop.signal.aborted;
  const phase: { measuring: boolean } = { measuring: false };

  const stream = async (session: Session, number: number): Promise<void> => {
    const audio = Float32Array.from(
      { length: job.frame * job.turn },
      (_, i) => 0.1 * Math.sin(i * (0.01 + number * 0.003)),
    );
    for (let turn = 0; !isOver(); turn++) {
      let last = performance.now();
      const called = last;
      const chunks = session.runProtocolTask(undefined, { [job.input]: audio });
      let index = 0;
      for await (const _ of chunks) {
        const now = performance.now();
        if (turn === 0 && index === 0) first.push(now - called);
        if (phase.measuring) {
          records++;
          if (index > 0) gaps.record(Math.max(1, Math.round((now - last) * 1000)));
        }
        last = now;
        index++;
        if (isOver()) return;
      }
    }
  };

  const sessions = Array.from({ length: job.sessions }, () =>
    manager.session({ model: job.model, durable: false }),
  );
  const streams = Promise.all(sessions.map(stream));
  const wait = (seconds: number): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000)),
      streams.then(() => undefined),
    ]);
  await wait(job.warmSeconds);
  tell({ event: 'measuring' });
  phase.measuring = true;
  const started = performance.now();
  await wait(job.seconds);
  phase.measuring = false;
  const seconds = (performance.now() - started) / 1000;
  const figures = {
    records,
    seconds,
    gapMedian: gaps.percentile(50) / 1000,
    gapP99: gaps.percentile(99) / 1000,
    first,
  };
  tell({ event: 'measured', figures });
  stop.abort();
  await streams;
  await manager.close();
  await remote.close();
  return figures;
}

process.once('message', (job: ClientRound) => {
  round(job).then(
    () => process.disconnect(),
    (error: unknown) => {
      tell({ event: 'failed', error: error instanceof Error ? (error.stack ?? '') : 'unknown' });
      process.disconnect();
    },
  );
});
