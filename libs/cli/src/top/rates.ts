import type { Sample } from './page';
import type { Scraped } from './scrape';

type Labels = Readonly<Record<string, string>>;

/** How much one series of one service went up, and in how long. */
interface Gain {
  readonly sample: Sample;
  readonly gain: number;
  readonly seconds: number;
}

/**
 * What the counters of all services together gained between two rounds of scrapes, by the metric and one of
 * its labels. A service that answered in one round only, and one whose counters began anew, count from zero
 * on the later side alone or not at all.
 */
export class Gains {
  /** By metric, and by metric and model: there may be a thousand of each. */
  readonly #gains = new Map<string, Gain[]>();
  readonly #latest: readonly Sample[];
  #seconds = 0;

  constructor(before: readonly Scraped[], now: readonly Scraped[]) {
    this.#latest = now.flatMap((each) => (each.kind === 'ok' ? each.samples : []));
    const earlier = new Map(before.map((each) => [each.url, each]));
    for (const each of now) {
      const was = earlier.get(each.url);
      if (each.kind !== 'ok' || was?.kind !== 'ok' || was.atMs >= each.atMs) continue;
      const seconds = (each.atMs - was.atMs) / 1000;
      this.#seconds = Math.max(this.#seconds, seconds);
      const values = new Map(was.samples.map((sample) => [seriesOf(sample), sample.value]));
      for (const sample of each.samples) {
        const value = values.get(seriesOf(sample)) ?? 0;
        // A process that was started again counts from zero.
        const gain = sample.value >= value ? sample.value - value : sample.value;
        this.#keep(sample.name, { sample, gain, seconds });
        this.#keep(keyOf(sample.name, sample.labels), { sample, gain, seconds });
      }
    }
  }

  /** Whether there are two rounds to compare. */
  get known(): boolean {
    return this.#seconds > 0;
  }

  /** How long the time between the two rounds is; 0 where there is only one. */
  get seconds(): number {
    return this.#seconds;
  }

  /** How many services have such a series. */
  services(name: string): number {
    return this.#latest.filter((sample) => sample.name === name).length;
  }

  /** The sum of the newest values; undefined where no service has such a series. */
  latest(name: string, labels: Labels = {}): number | undefined {
    const found = this.#latest.filter((sample) => matches(sample, name, labels));
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  /** How much it went up. */
  gain(name: string, labels: Labels = {}): number {
    return this.#of(name, labels).reduce((sum, { gain }) => sum + gain, 0);
  }

  /** How much it goes up in a second. */
  rate(name: string, labels: Labels = {}): number {
    return this.#of(name, labels).reduce((sum, { gain, seconds }) => sum + gain / seconds, 0);
  }

  /** Values that a label has. */
  values(name: string, label: string): string[] {
    const found = this.#latest.flatMap((sample) =>
      sample.name === name && sample.labels[label] !== undefined ? [sample.labels[label]] : [],
    );
    return [...new Set(found)].sort();
  }

  /**
   * A quantile of what a histogram observed in between, as Prometheus reckons it; null where it observed
   * nothing. The last bucket has no end: what lies in it counts as the end of the one before.
   */
  quantile(share: number, histogram: string, labels: Labels = {}): number | null {
    const counts = new Map<number, number>();
    for (const { sample, gain } of this.#of(`${histogram}_bucket`, labels)) {
      const end = sample.labels['le'] === '+Inf' ? Infinity : Number(sample.labels['le']);
      counts.set(end, (counts.get(end) ?? 0) + gain);
    }
    const buckets = [...counts].sort(([a], [b]) => a - b);
    const all = buckets.at(-1)?.[1] ?? 0;
    if (all === 0) return null;
    let [start, below] = [0, 0];
    for (const [end, upTo] of buckets) {
      if (upTo >= share * all) {
        if (end === Infinity || upTo === below) return start;
        return start + ((end - start) * (share * all - below)) / (upTo - below);
      }
      [start, below] = [end, upTo];
    }
    return start;
  }

  #of(name: string, labels: Labels): readonly Gain[] {
    const found = this.#gains.get(keyOf(name, labels)) ?? [];
    return found.filter(({ sample }) => matches(sample, name, labels));
  }

  #keep(key: string, gain: Gain): void {
    const kept = this.#gains.get(key);
    if (kept === undefined) this.#gains.set(key, [gain]);
    else if (kept.at(-1)?.sample !== gain.sample) kept.push(gain);
  }
}

/** Without a model: the metric alone. */
function keyOf(name: string, { model }: Labels): string {
  return model === undefined ? name : `${name} ${model}`;
}

function matches(sample: Sample, name: string, labels: Labels): boolean {
  return (
    sample.name === name &&
    Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
  );
}

function seriesOf({ name, labels }: Sample): string {
  return JSON.stringify([name, Object.entries(labels).sort()]);
}
