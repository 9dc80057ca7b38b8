import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import { combinations } from './labels';
import type { OpenMetricsContentType } from 'prom-client';
import type { Described, LabelValues } from './labels';
import { LagMeter } from './lag';
import { RpcMetrics } from './rpc-metrics';
import { Subjects } from './subjects';

/**
 * Gauges of prom-client that are named like counters, which `promtool check metrics` refuses. They are
 * sums of nodejs_active_handles, _requests and _resources over their label.
 */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);

export interface Build {
  /** Of Cabstand. */
  readonly version: string;
  /** Of ONNX Runtime; '' for a service that runs no models. */
  readonly onnxruntime: string;
}

/** How metrics are exported. */
export interface Exposition {
  /**
   * Whether histograms name traces of what they observed. Only OpenMetrics can tell that: the page is in that format
   * then. Default: false, and Prometheus's text format.
   */
  readonly exemplars?: boolean;
}

/** A service's metrics: process, event loop, gRPC, and `cabstand_*` of its own. */
export class Metrics {
  readonly registry: Registry;
  /** Observes calls: give it to the server. */
  readonly rpc: RpcMetrics;
  readonly lag = new LagMeter();
  readonly #exemplars: boolean;
  readonly #beforeScrape: (() => void)[] = [];

  constructor(service: string, { exemplars = false }: Exposition = {}) {
    this.#exemplars = exemplars;
    this.registry = exemplars ? openMetrics() : new Registry();
    this.registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    this.rpc = new RpcMetrics(this.registry);
    const { lag } = this;
    this.gauge(
      {
        name: 'cabstand_event_loop_lag_seconds',
        help: 'How late the main event loop ran what was due, in seconds: the 99th percentile since the last scrape.',
      },
      () => lag.take('metrics').p99Seconds,
    );
  }

  /** All series exist at zero from the start, so that `rate` and `increase` see the first event. */
  counter({ name, help, labels = {} }: Described & { readonly labels?: LabelValues }): Counter {
    const labelNames = Object.keys(labels);
    const counter = new Counter({ name, help, labelNames, registers: [this.registry] });
    for (const series of combinations(labels)) counter.inc({ ...series }, 0);
    return counter;
  }

  /** `read` gives the value of an unlabelled gauge when it is scraped. */
  gauge(
    { name, help, labels = [] }: Described & { readonly labels?: readonly string[] },
    read?: () => number,
  ): Gauge {
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

  /** A size, and the most that it may be as a gauge of its own: `name` and `name_limit`. */
  bounded(size: Described, read: () => number, limit: number, limitHelp: string): void {
    this.gauge(size, read);
    this.limit({ name: `${size.name}_limit`, help: limitHelp }, limit);
  }

  /** A configured limit. Its name ends in `_limit`, behind what it bounds. */
  limit(described: Described, value: number): void {
    this.gauge(described).set(value);
  }

  /** Metrics with a label whose values come and go: `model`. */
  subjects(label: string): Subjects {
    return new Subjects(label, this.registry, this.#exemplars);
  }

  build({ version, onnxruntime }: Build): void {
    this.gauge({
      name: 'cabstand_build_info',
      help: 'Always 1; the labels say which versions of Cabstand, Node.js and (hosters) ONNX Runtime this process runs.',
      labels: ['version', 'node', 'onnxruntime'],
    }).set({ version, node: process.versions.node, onnxruntime }, 1);
  }

  /** To be called before each scrape, for what is read together. Must not throw. */
  beforeScrape(refresh: () => void): void {
    this.#beforeScrape.push(refresh);
  }

  /** In the format that `registry.contentType` names. */
  render(): Promise<string> {
    for (const refresh of this.#beforeScrape) refresh();
    return this.registry.metrics();
  }

  close(): void {
    this.#beforeScrape.length = 0;
    this.lag.close();
    this.registry.clear();
  }
}

/** prom-client's types tell registries of both formats apart, though its metrics take either. */
function openMetrics(): Registry {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return registry as unknown as Registry;
}
