import { REASONS, isReason } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import { codeName } from '@cabstand/rpc';
import type { CallObservation, CallObserver, MethodInfo } from '@cabstand/rpc';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

const LABELS = ['grpc_service', 'grpc_method', 'grpc_type'] as const;
const BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

/** The codes that a call can end with: those of the table of reasons. */
const CODES = [...new Set(['OK', ...Object.values(REASONS).map(({ code }) => code)])];

/** Who calls is not known, or may not do this. */
const REFUSALS = Object.entries(REASONS)
  .filter(([, row]) => row.class === 'auth' || row.code === 'PERMISSION_DENIED')
  .map(([reason]) => reason)
  .filter(isReason);

/** Counts of one method since the last scrape. Messages are too many for a labelled increment each. */
class MethodCounts {
  started = 0;
  sent = 0;
  received = 0;
  readonly handled = new Map<string, number>(CODES.map((code) => [code, 0]));
  constructor(readonly labels: Readonly<Record<(typeof LABELS)[number], string>>) {}
}

/** The conventional gRPC server metrics, over the methods that the server has, and refused callers. */
export class RpcMetrics implements CallObserver {
  readonly #methods = new Map<string, MethodCounts>();
  readonly #seconds: Histogram;
  readonly #refused: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    const methods = this.#methods;
    const counter = (name: string, help: string, take: (counts: MethodCounts) => number): void => {
      new Counter({
        name,
        help,
        labelNames: LABELS,
        registers,
        collect() {
          for (const counts of methods.values()) this.inc(counts.labels, take(counts));
        },
      });
    };
    counter(
      'grpc_server_started_total',
      'gRPC calls that came in, by method; goes up when a call begins, whether it is let in or not.',
      (counts) => taken(counts, 'started'),
    );
    counter(
      'grpc_server_msg_sent_total',
      'gRPC messages that this server sent, by method; a streaming call sends many.',
      (counts) => taken(counts, 'sent'),
    );
    counter(
      'grpc_server_msg_received_total',
      'gRPC messages that this server received, by method; a streaming call brings many.',
      (counts) => taken(counts, 'received'),
    );
    new Counter({
      name: 'grpc_server_handled_total',
      help: 'gRPC calls that ended, by method and gRPC status code; a stream counts once, at its end.',
      labelNames: [...LABELS, 'grpc_code'],
      registers,
      collect() {
        for (const { labels, handled } of methods.values())
          for (const [code, count] of handled) {
            this.inc({ ...labels, grpc_code: code }, count);
            handled.set(code, 0);
          }
      },
    });
    this.#seconds = new Histogram({
      name: 'grpc_server_handling_seconds',
      help: 'Seconds from the arrival of a gRPC call to its end, by method; for a stream that is its whole life.',
      labelNames: LABELS,
      buckets: BUCKETS,
      registers,
    });
    this.#refused = new Counter({
      name: 'cabstand_auth_refusals_total',
      help: 'gRPC calls that were refused for who called, by reason: no or wrong credentials, or a principal that may not do this.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of REFUSALS) this.#refused.inc({ reason }, 0);
  }

  serves(info: MethodInfo): void {
    this.#countsOf(info);
  }

  started(info: MethodInfo): CallObservation {
    const counts = this.#countsOf(info);
    counts.started += 1;
    const begin = performance.now();
    return {
      messageSent: () => {
        counts.sent += 1;
      },
      messageReceived: () => {
        counts.received += 1;
      },
      finished: (error: CabstandError | undefined) => {
        const code = codeName(error);
        counts.handled.set(code, (counts.handled.get(code) ?? 0) + 1);
        this.#seconds.observe(counts.labels, (performance.now() - begin) / 1000);
        if (error !== undefined && REFUSALS.includes(error.reason))
          this.#refused.inc({ reason: error.reason });
      },
    };
  }

  #countsOf(info: MethodInfo): MethodCounts {
    let counts = this.#methods.get(info.path);
    if (counts === undefined) {
      counts = new MethodCounts({
        grpc_service: info.service,
        grpc_method: info.method,
        grpc_type: info.kind,
      });
      this.#methods.set(info.path, counts);
      this.#seconds.zero(counts.labels);
    }
    return counts;
  }
}

function taken(counts: MethodCounts, what: 'started' | 'sent' | 'received'): number {
  const count = counts[what];
  counts[what] = 0;
  return count;
}
