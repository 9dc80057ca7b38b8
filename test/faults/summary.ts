import { quantile } from '../bench/stats';
import type { Defect, Verdict } from './checker';
import type { FaultKind } from './schedule';
import type { Stream } from './stream';

/** What makes the messages of one cause differ: ids, times, numbers. */
const INDIVIDUAL = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d[\d:.TZ-]*/g;
const DEFECTS_KEPT = 50;
const TRACES_KEPT = 20;
const SLOW_KEPT = 8;
/** A recovery that takes longer is shown. */
const SLOW_MS = 4000;

interface KindFigures {
  faults: number;
  /** Streams that were flowing where it struck. */
  streams: number;
  /** Milliseconds from the fault to the next record of each of them. */
  readonly gaps: number[];
}

/** What a run of faults came to. */
export class Summary {
  readonly seed: number;
  readonly wanted: number;
  readonly started = performance.now();
  /** Faults that struck a hoster with at least one running stream. */
  hits = 0;
  /** Faults for which no hoster with a running stream was found. */
  misses = 0;
  streams = 0;
  /** Streams that were finished in order. */
  finished = 0;
  records = 0;
  readonly counts: Record<Defect['kind'], number> = {
    lost: 0,
    duplicated: 0,
    wrong: 0,
    untyped: 0,
  };
  readonly defects: string[] = [];
  /** Typed errors that ended a stream, with how often. */
  readonly errors = new Map<string, number>();
  /** Typed errors of sessions that never got a record. */
  readonly refused = new Map<string, number>();
  readonly recoveries = new Map<string, number[]>();
  /** What else was not as it should be. */
  readonly findings: string[] = [];
  /** Of streams that were not finished as they should. */
  readonly #traces: string[] = [];
  readonly #slow: string[] = [];
  readonly #kinds = new Map<FaultKind, KindFigures>();

  constructor(seed: number, wanted: number) {
    this.seed = seed;
    this.wanted = wanted;
  }

  /** Nothing lost, duplicated, wrong or untyped, every stream finished, and enough faults struck. */
  get passed(): boolean {
    return (
      this.hits >= this.wanted &&
      this.finished === this.streams &&
      Object.values(this.counts).every((count) => count === 0) &&
      this.findings.length === 0
    );
  }

  hit(kind: FaultKind, streams: number): void {
    this.hits++;
    const figures = this.#figures(kind);
    figures.faults++;
    figures.streams += streams;
  }

  gap(kind: FaultKind, ms: number): void {
    this.#figures(kind).gaps.push(ms);
  }

  stream(verdict: Verdict, stream: Stream): void {
    if (!verdict.started && verdict.error !== undefined) {
      const why = `${verdict.error.reason}: ${plain(verdict.error.message)}`;
      this.refused.set(why, (this.refused.get(why) ?? 0) + 1);
      return;
    }
    this.streams++;
    this.records += verdict.records;
    for (const { kind, what } of verdict.defects) {
      this.counts[kind]++;
      if (this.defects.length < DEFECTS_KEPT) this.defects.push(`${kind}: ${what}`);
    }
    const { error } = verdict;
    if (error !== undefined) {
      const what = `${error.reason}: ${plain(error.message)}`;
      this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
    } else if (verdict.defects.length === 0) this.finished++;
    const trace = `${stream.script.name}:\n    ${stream.trace.join('\n    ')}`;
    if (error !== undefined || verdict.defects.length > 0) keep(this.#traces, trace, TRACES_KEPT);
    else if (stream.recoveries.some(({ gapMs }) => gapMs > SLOW_MS))
      keep(this.#slow, `slow ${trace}`, SLOW_KEPT);
    for (const { cause, gapMs } of stream.recoveries) {
      const gaps = this.recoveries.get(cause.reason) ?? [];
      gaps.push(gapMs);
      this.recoveries.set(cause.reason, gaps);
    }
  }

  /** One line on how far it is. */
  progress(): string {
    const seconds = Math.round((performance.now() - this.started) / 1000);
    const { lost, duplicated, wrong, untyped } = this.counts;
    const errors = [...this.errors.values()].reduce((sum, count) => sum + count, 0);
    return (
      `${String(seconds)} s: ${String(this.hits)}/${String(this.wanted)} faults, ` +
      `${String(this.streams)} streams, ${String(this.records)} records, ` +
      `lost ${String(lost)}, duplicated ${String(duplicated)}, wrong ${String(wrong)}, ` +
      `untyped ${String(untyped)}, typed errors ${String(errors)}`
    );
  }

  print(): string {
    const lines = [`seed ${String(this.seed)}`, this.progress(), ''];
    lines.push('fault            faults  streams  gap p50 ms  p99 ms');
    for (const [kind, { faults, streams, gaps }] of [...this.#kinds].sort())
      lines.push(
        [
          kind.padEnd(15),
          String(faults).padStart(7),
          String(streams).padStart(8),
          ms(gaps, 0.5).padStart(11),
          ms(gaps, 0.99).padStart(7),
        ].join(' '),
      );
    lines.push('', 'recovered from       times  gap p50 ms  p99 ms');
    for (const [reason, gaps] of [...this.recoveries].sort())
      lines.push(
        [
          reason.padEnd(19),
          String(gaps.length).padStart(6),
          ms(gaps, 0.5).padStart(11),
          ms(gaps, 0.99).padStart(7),
        ].join(' '),
      );
    if (this.misses > 0) lines.push('', `${String(this.misses)} faults found no running stream`);
    for (const [error, count] of this.refused)
      lines.push(`could not begin ×${String(count)} ${error}`);
    for (const [error, count] of this.errors) lines.push(`error ×${String(count)} ${error}`);
    lines.push(...this.defects, ...this.findings.map((finding) => `finding: ${finding}`));
    lines.push(...this.#traces, ...this.#slow);
    lines.push('', this.passed ? 'PASSED' : 'FAILED');
    return lines.join('\n');
  }

  #figures(kind: FaultKind): KindFigures {
    const figures = this.#kinds.get(kind) ?? { faults: 0, streams: 0, gaps: [] };
    this.#kinds.set(kind, figures);
    return figures;
  }
}

function keep(list: string[], item: string, most: number): void {
  if (list.length < most) list.push(item);
}

function plain(message: string): string {
  return message.replaceAll(INDIVIDUAL, '…');
}

function ms(values: readonly number[], q: number): string {
  return values.length === 0 ? '-' : quantile(values, q).toFixed(0);
}
