import { quantile } from '../bench/stats';
import type { Defect, Verdict } from './checker';
import type { AnswerVerdict } from './language-models/check';
import { AnswerFigures } from './language-models/figures';
import type { AnswerKind } from './language-models/scripts';
import type { RideVerdict } from './lineage';
import type { FaultKind } from './schedule';
import type { Watched } from './watched';

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

/** What was checked of the sessions of modules. */
interface RideFigures {
  sessions: number;
  messages: number;
  /** Commands whose result was checked. */
  results: number;
  /** Times that a client gave a session to another one. */
  reattached: number;
  /** Times that a fault struck one. */
  struck: number;
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
  /** Why sessions were begun anew by callers that cannot have what went with their gateway. */
  readonly again = new Map<string, number>();
  readonly recoveries = new Map<string, number[]>();
  /** What else was not as it should be. */
  readonly findings: string[] = [];
  /** Of streams that were not finished as they should. */
  readonly #traces: string[] = [];
  readonly #slow: string[] = [];
  readonly #kinds = new Map<FaultKind, KindFigures>();
  readonly #rides = new Map<string, RideFigures>();
  readonly #answers: AnswerFigures;
  readonly #due: readonly FaultKind[];

  /**
   * @param due kinds of faults of which each must strike
   * @param rides models of modules that must run
   * @param answers kinds of answers of language models that must run
   */
  constructor(
    seed: number,
    wanted: number,
    due: readonly FaultKind[] = [],
    rides: readonly string[] = [],
    answers: readonly AnswerKind[] = [],
  ) {
    this.#answers = new AnswerFigures(answers);
    this.seed = seed;
    this.wanted = wanted;
    this.#due = due;
    for (const model of rides)
      this.#rides.set(model, { sessions: 0, messages: 0, results: 0, reattached: 0, struck: 0 });
  }

  /** What should have happened, and has not: where it is missing nothing was shown. */
  get missing(): string[] {
    const kinds = this.#due.filter((kind) => !this.#kinds.has(kind));
    const rides = [...this.#rides].flatMap(([model, figures]) =>
      Object.entries(figures)
        .filter(([, count]) => count === 0)
        .map(([what]) => `${model}: ${what}`),
    );
    return [...kinds.map((kind) => `a fault ${kind}`), ...rides, ...this.#answers.missing];
  }

  /** Nothing lost, duplicated, wrong or untyped, every stream finished, and enough faults struck. */
  get passed(): boolean {
    return (
      this.hits >= this.wanted &&
      this.finished === this.streams &&
      Object.values(this.counts).every((count) => count === 0) &&
      this.findings.length === 0 &&
      this.missing.length === 0
    );
  }

  /** Whether such a fault has struck. */
  struck(kind: FaultKind): boolean {
    return this.#kinds.has(kind);
  }

  /** A session of a module that was judged. */
  ride(verdict: RideVerdict, ride: Watched): void {
    const figures = this.#rides.get(ride.model);
    if (figures !== undefined && verdict.started) {
      figures.sessions++;
      figures.messages += verdict.messages;
      figures.results += verdict.results;
      figures.reattached += verdict.reattached;
    }
    this.stream(verdict, ride);
  }

  /** A session of a language model that was judged. */
  answers(verdict: AnswerVerdict, stream: Watched): void {
    this.#answers.judged(verdict, stream);
    this.stream(verdict, stream);
  }

  hit(kind: FaultKind, struck: readonly Watched[]): void {
    this.hits++;
    for (const stream of struck) {
      const figures = this.#rides.get(stream.model);
      if (figures !== undefined) figures.struck++;
      this.#answers.struck(stream);
    }
    const figures = this.#figures(kind);
    figures.faults++;
    figures.streams += struck.length;
  }

  gap(kind: FaultKind, ms: number): void {
    this.#figures(kind).gaps.push(ms);
  }

  stream(verdict: Verdict, stream: Watched): void {
    if (!verdict.started && verdict.error !== undefined) {
      const why = `${verdict.error.reason}: ${plain(verdict.error.message)}`;
      this.refused.set(why, (this.refused.get(why) ?? 0) + 1);
      return;
    }
    this.streams++;
    this.records += verdict.records;
    this.#defective(verdict.defects, stream);
    const { error } = verdict;
    if (error !== undefined) {
      const what = `${error.reason}: ${plain(error.message)}`;
      this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
    } else if (verdict.defects.length === 0) this.finished++;
    const trace = `${stream.name}:\n    ${stream.trace.join('\n    ')}`;
    if (error !== undefined || verdict.defects.length > 0) keep(this.#traces, trace, TRACES_KEPT);
    else if (stream.recoveries.some(({ gapMs }) => gapMs > SLOW_MS))
      keep(this.#slow, `slow ${trace}`, SLOW_KEPT);
    for (const { cause, gapMs } of stream.recoveries) {
      const gaps = this.recoveries.get(cause.reason) ?? [];
      gaps.push(gapMs);
      this.recoveries.set(cause.reason, gaps);
    }
  }

  /** What came before a session was begun anew has to be right as well. */
  begunAnew({ defects, error, records }: Verdict, stream: Watched): void {
    this.records += records;
    this.#defective(defects, stream);
    if (error !== undefined) this.again.set(error.reason, (this.again.get(error.reason) ?? 0) + 1);
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
    if (this.#rides.size > 0)
      lines.push('', 'modules          sessions  struck  messages  results  re-attached');
    for (const [model, figures] of this.#rides) {
      const { sessions, struck, messages, results, reattached } = figures;
      lines.push(
        [
          model.padEnd(15),
          String(sessions).padStart(9),
          String(struck).padStart(7),
          String(messages).padStart(9),
          String(results).padStart(8),
          String(reattached).padStart(12),
        ].join(' '),
      );
    }
    lines.push(...this.#answers.lines());
    for (const what of this.missing) lines.push(`never happened: ${what}`);
    if (this.misses > 0) lines.push('', `${String(this.misses)} faults found no running stream`);
    for (const [error, count] of this.refused)
      lines.push(`could not begin ×${String(count)} ${error}`);
    for (const [reason, count] of this.again)
      lines.push(`begun anew ×${String(count)} after ${reason}`);
    for (const [error, count] of this.errors) lines.push(`error ×${String(count)} ${error}`);
    lines.push(...this.defects, ...this.findings.map((finding) => `finding: ${finding}`));
    lines.push(...this.#traces, ...this.#slow);
    lines.push('', this.passed ? 'PASSED' : 'FAILED');
    return lines.join('\n');
  }

  #defective(defects: readonly Defect[], stream: Watched): void {
    for (const { kind, what } of defects) {
      this.counts[kind]++;
      if (this.defects.length < DEFECTS_KEPT) this.defects.push(`${kind}: ${stream.name} ${what}`);
    }
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
