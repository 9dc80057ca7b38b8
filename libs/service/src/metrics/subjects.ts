import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { sampledTraceIdOf } from '@cabstand/rpc';
import type { TraceContext } from '@cabstand/rpc';
import { combinations } from './labels';
import type { Described, Labels, LabelValues } from './labels';

interface Counted extends Described {
  /** Labels beside the subject, with all their values. */
  readonly labels?: LabelValues;
}

export interface SubjectCounter {
  inc(subject: string, labels?: Labels, by?: number): void;
}

export interface SubjectHistogram {
  /** @param trace of what was observed: an exemplar of its bucket, if it is sampled and exemplars are exported */
  observe(subject: string, value: number, trace?: TraceContext): void;
}

/** A metric as far as subjects come and go. */
interface Member {
  readonly begin: (subject: string) => void;
  readonly end: (subject: string) => void;
}

/**
 * Metrics of subjects that come and go, such as models. `rate` and `increase` see the first event only
 * of a series that was there before it: a subject has all its counters and histograms at zero from when
 * it is known, and none once it is gone.
 */
export class Subjects {
  readonly #label: string;
  readonly #registers: Registry[];
  readonly #exemplars: boolean;
  readonly #members: Member[] = [];
  readonly #known = new Set<string>();

  constructor(label: string, registry: Registry, exemplars: boolean) {
    this.#label = label;
    this.#registers = [registry];
    this.#exemplars = exemplars;
  }

  counter({ name, help, labels = {} }: Counted): SubjectCounter {
    const labelNames = [this.#label, ...Object.keys(labels)];
    const counter = new Counter({ name, help, labelNames, registers: this.#registers });
    const all = combinations(labels);
    this.#add({
      begin: (subject) => all.forEach((more) => counter.inc(this.#of(subject, more), 0)),
      end: (subject) => all.forEach((more) => counter.remove(this.#of(subject, more))),
    });
    return {
      inc: (subject, more = {}, by = 1) => {
        this.#meet(subject);
        counter.inc(this.#of(subject, more), by);
      },
    };
  }

  histogram({ name, help }: Described, buckets: readonly number[]): SubjectHistogram {
    const enableExemplars = this.#exemplars;
    const histogram = new Histogram({
      name,
      help,
      enableExemplars,
      labelNames: [this.#label],
      buckets: [...buckets],
      registers: this.#registers,
    });
    this.#add({
      begin: (subject) => histogram.zero(this.#of(subject)),
      end: (subject) => histogram.remove(this.#of(subject)),
    });
    return {
      observe: (subject, value, trace) => {
        this.#meet(subject);
        const labels = this.#of(subject);
        if (!enableExemplars) histogram.observe(labels, value);
        else histogram.observe({ labels, value, exemplarLabels: exemplarOf(trace) });
      },
    };
  }

  /** A gauge is set when it is scraped, or has no value: it needs no zero. */
  gauge({ name, help }: Described, labels: readonly string[] = []): Gauge {
    const labelNames = [this.#label, ...labels];
    return new Gauge({ name, help, labelNames, registers: this.#registers });
  }

  /** These are all that there are: new ones begin at zero, the series of others are removed. */
  keep(subjects: Iterable<string>): void {
    const now = new Set(subjects);
    for (const subject of now) this.#meet(subject);
    for (const subject of this.#known) {
      if (now.has(subject)) continue;
      this.#known.delete(subject);
      for (const member of this.#members) member.end(subject);
    }
  }

  // What is counted of a subject before it is announced, or after it is gone, must leave no series
  // that nobody removes: it is known from then on, until the next `keep`.
  #meet(subject: string): void {
    if (this.#known.has(subject)) return;
    this.#known.add(subject);
    for (const member of this.#members) member.begin(subject);
  }

  #add(member: Member): void {
    this.#members.push(member);
    for (const subject of this.#known) member.begin(subject);
  }

  #of(subject: string, labels: Labels = {}): Record<string, string> {
    return { [this.#label]: subject, ...labels };
  }
}

/** The label by which Grafana finds the trace. Who keeps no spans of a trace cannot be asked for it. */
function exemplarOf(trace: TraceContext | undefined): Record<string, string> {
  const id = trace === undefined ? undefined : sampledTraceIdOf(trace);
  return id === undefined ? {} : { trace_id: id };
}
