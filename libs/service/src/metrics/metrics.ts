import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { LagMeter } from './lag';
import { RpcMetrics } from './rpc-metrics';

/**
 * Gauges of prom-client that are named like counters, which `promtool check metrics` refuses. They are
 * sums of nodejs_active_handles, _requests and _resources over their label.
 */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);

interface Described {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** A service's metrics: process, event loop, gRPC, and `cabstand_*` of its own. */
export class Metrics {
  readonly registry = new Registry();
  /** Observes calls: give it to the server. */
  readonly rpc: RpcMetrics;
  readonly lag = new LagMeter();

  constructor(service: string) {
    this.registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    this.rpc = new RpcMetrics(this.registry);
    const { lag } = this;
    this.gauge(
      {
        name: 'cabstand_event_loop_lag_seconds',
        help: '99th percentile of how late the event loop was since the last scrape.',
      },
      () => lag.take('metrics').p99Seconds,
    );
  }

  counter({ name, help, labels = [] }: Described): Counter {
    return new Counter({ name, help, labelNames: [...labels], registers: [this.registry] });
  }

  /** `read` gives the value of an unlabelled gauge when it is scraped. */
  gauge({ name, help, labels = [] }: Described, read?: () => number): Gauge {
    return new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [this.registry],
      ...(read === undefined
        ? {}
        : {
            collect(this: Gauge) {
              this.set(read());
            },
          }),
    });
  }

  histogram({ name, help, labels = [] }: Described, buckets: readonly number[]): Histogram {
    return new Histogram({
      name,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.registry],
    });
  }

  /** In Prometheus's text format. */
  render(): Promise<string> {
    return this.registry.metrics();
  }

  close(): void {
    this.lag.close();
    this.registry.clear();
  }
}
