import { codeName } from '@cabstand/rpc';
import type { CallObservation, CallObserver, MethodInfo } from '@cabstand/rpc';
import type { CabstandError } from '@cabstand/core';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

const LABELS = ['grpc_service', 'grpc_method', 'grpc_type'] as const;
const BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

/** Counts of one method since the last scrape. Messages are too many for a labelled increment each. */
class MethodCounts {
  started = 0;
  sent = 0;
  received = 0;
  readonly handled = new Map<string, number>();
  constructor(readonly labels: Readonly<Record<(typeof LABELS)[number], string>>) {}
}

/** The conventional gRPC server metrics, over the methods that the server has. */
export class RpcMetrics implements CallObserver {
  readonly #methods = new Map<string, MethodCounts>();
  readonly #seconds: Histogram;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string, read: (counts: MethodCounts) => number): void => {
      const methods = this.#methods;
      new Counter({
        name,
        help,
        labelNames: LABELS,
        registers,
        collect() {
          for (const counts of methods.values()) this.inc(counts.labels, read(counts));
        },
      });
    };
    counter('grpc_server_started_total', 'Calls that came in.', (counts) => {
      const { started } = counts;
      counts.started = 0;
      return started;
    });
    counter('grpc_server_msg_sent_total', 'Messages sent.', (counts) => {
      const { sent } = counts;
      counts.sent = 0;
      return sent;
    });
    counter('grpc_server_msg_received_total', 'Messages received.', (counts) => {
      const { received } = counts;
      counts.received = 0;
      return received;
    });
    const methods = this.#methods;
    new Counter({
      name: 'grpc_server_handled_total',
      help: 'Calls that ended, by status code.',
      labelNames: [...LABELS, 'grpc_code'],
      registers,
      collect() {
        for (const { labels, handled } of methods.values()) {
          for (const [code, count] of handled) this.inc({ ...labels, grpc_code: code }, count);
          handled.clear();
        }
      },
    });
    this.#seconds = new Histogram({
      name: 'grpc_server_handling_seconds',
      help: 'Time from arrival to end of a call.',
      labelNames: LABELS,
      buckets: BUCKETS,
      registers,
    });
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
    }
    return counts;
  }
}
