import { CabstandError, every } from '@cabstand/core';
import type {
  AuditFrame,
  FromEngine,
  LanguageFigures,
  LogFrame,
  SilentSequence,
  StatsFrame,
} from '@cabstand/engine';
import type { ModuleProgram } from '@cabstand/model';
import type { EngineProcess, EngineProcessDeps } from './engine-process';
import { failureOf, memoryError } from './launch';
import type { EngineLabels, EngineObserver, EngineSpending } from './observer';
import { Sequences } from './sequences';
import { Watchdog } from './watchdog';

export interface ServingDeps extends EngineProcessDeps {
  readonly observer: EngineObserver;
  /** Called when the last sequence was closed. */
  readonly onChange: () => void;
  /** A turn of the model is one step, however much it brings. */
  readonly oneRun: boolean;
  /** Undefined for models of other kinds. */
  readonly module: Pick<ModuleProgram, 'stopGraceSeconds' | 'silentSeconds'> | undefined;
  /** Called when an audit has found that rows depend on one another. */
  readonly onAudit: (finding: AuditFrame) => void;
}

/** An engine that serves: its process, its sequences, and the watch over both. */
export class Serving {
  readonly process: EngineProcess;
  readonly sequences: Sequences;
  readonly #labels: EngineLabels;
  readonly #stepTime: MovingAverage;
  readonly #deps: ServingDeps;
  readonly #watchdog: Watchdog;
  readonly #since: number;
  #lastStepAt: number;
  /** Audits that were counted. */
  #audits = 0;
  /** What was told to the observer, of all that this engine has spent since it started. */
  #language: LanguageFigures | undefined;
  #spent: EngineSpending = { cpuSeconds: 0, auditSeconds: 0 };

  constructor(
    process: EngineProcess,
    labels: EngineLabels,
    stepTime: MovingAverage,
    deps: ServingDeps,
  ) {
    this.process = process;
    const { log, onChange, oneRun, module } = deps;
    const graceMs = module && module.stopGraceSeconds * 1000;
    this.sequences = new Sequences(process.outbox, log, onChange, oneRun, graceMs);
    this.#labels = labels;
    this.#stepTime = stepTime;
    this.#deps = deps;
    const { clock, options } = deps;
    this.#since = this.#lastStepAt = clock.monotonic();
    this.#watchdog = new Watchdog(options, this.#since);
    const watch = every(clock, this.#watchdog.periodMs, () => {
      this.#look();
    });
    void process.exited.then(() => {
      watch.cancel();
    });
    process.onFrame = (frame) => {
      this.#take(frame);
    };
  }

  /** From its start to its last step; 0 before the first. */
  get servedMs(): number {
    return this.#lastStepAt - this.#since;
  }

  #take(frame: FromEngine): void {
    const { clock, observer, options } = this.#deps;
    switch (frame.type) {
      case 'STEP':
        this.#watchdog.stepped();
        if (frame.batch > 0) {
          this.#lastStepAt = clock.monotonic();
          this.#stepTime.add(frame.seconds);
          observer.step(this.#labels, frame.batch, frame.seconds);
        }
        this.sequences.dispatch(frame.items);
        return;
      case 'STATS':
        this.#watchdog.reported(frame.ready);
        this.#watchSilent(frame.silent ?? []);
        observer.stats(this.#labels, { ...frame, silentSeconds: longestOf(frame) });
        observer.spent(this.#labels, this.#newlySpent(frame));
        if (frame.language !== undefined)
          observer.language(this.#labels, this.#newFigures(frame.language));
        if (frame.audits > this.#audits)
          observer.audited(this.#labels, 'passed', frame.audits - this.#audits);
        this.#audits = frame.audits;
        if (frame.rssBytes > options.maxMemoryBytes)
          this.process.kill('memory', memoryError(frame.rssBytes, options.maxMemoryBytes));
        return;
      case 'AUDIT':
        this.#watchdog.heard();
        observer.audited(this.#labels, 'failed', 1);
        this.#deps.onAudit(frame);
        return;
      case 'LOG':
        this.#watchdog.heard();
        this.#write(frame);
        if (frame.stray === true) observer.stray(this.#labels);
        return;
      case 'FAILED':
        this.process.kill('exited', failureOf(frame));
        return;
      case 'HELLO':
      case 'PROGRESS':
      case 'LOADED':
        this.#watchdog.heard();
        return;
    }
  }

  /** The engine stops who is silent for too long, and gives up who does not stop; this is for one that does neither. */
  #watchSilent(silent: readonly SilentSequence[]): void {
    const { module } = this.#deps;
    if (module === undefined) return;
    const { silentSeconds, stopGraceSeconds } = module;
    const limitMs = (silentSeconds + stopGraceSeconds) * 1000 + LENIENCE_MS;
    const longest = silent.find(({ ms }) => ms > limitMs);
    if (longest === undefined) return;
    this.process.kill(
      'stalled',
      new CabstandError(
        'ENGINE_STALLED',
        `the module's code called nothing for ${Math.round(longest.ms)} ms and was killed`,
        { metadata: { cause: 'silent', limit_ms: String(limitMs) } },
      ),
    );
  }

  /** What an author's code writes is the operator's to read; callers never see it. */
  #write({ level, sequence, message }: LogFrame): void {
    const facts = { ...this.#labels, ...this.sequences.factsOf(sequence) };
    this.#deps.log[level](facts, `module: ${message.slice(0, LONGEST_MESSAGE)}`);
  }

  // An engine of another make may report less than before, or nothing: counters only go up.
  #newlySpent({ cpuSeconds = 0, auditSeconds }: StatsFrame): EngineSpending {
    const before = this.#spent;
    this.#spent = {
      cpuSeconds: Math.max(cpuSeconds, before.cpuSeconds),
      auditSeconds: Math.max(auditSeconds, before.auditSeconds),
    };
    return {
      cpuSeconds: this.#spent.cpuSeconds - before.cpuSeconds,
      auditSeconds: this.#spent.auditSeconds - before.auditSeconds,
    };
  }

  #newFigures(figures: LanguageFigures): LanguageFigures {
    const before = this.#language;
    this.#language = figures;
    const since = (name: Counted): number => Math.max(0, figures[name] - (before?.[name] ?? 0));
    return {
      ...figures,
      promptTokens: since('promptTokens'),
      cachedPromptTokens: since('cachedPromptTokens'),
      generatedTokens: since('generatedTokens'),
      preemptions: since('preemptions'),
    };
  }

  #look(): void {
    const verdict = this.#watchdog.tick(this.#deps.clock.monotonic(), {
      hasWork: this.sequences.hasWork,
      stepSeconds: this.#stepTime.value,
      unusual: this.sequences.unusual,
    });
    if (verdict.kind === 'fine') return;
    this.process.kill(
      'stalled',
      new CabstandError(
        'ENGINE_STALLED',
        `the model's engine gave no sign of life for ${Math.round(verdict.silentMs)} ms and was killed`,
        { metadata: { cause: 'stalled', limit_ms: String(Math.round(verdict.limitMs)) } },
      ),
    );
  }
}

/** Of a language model's figures those that only grow. */
type Counted = 'promptTokens' | 'cachedPromptTokens' | 'generatedTokens' | 'preemptions';

function longestOf({ silent = [] }: StatsFrame): number {
  return Math.max(0, ...silent.map(({ ms }) => ms)) / 1000;
}

const LONGEST_MESSAGE = 8_000;
/** Beyond what the engine itself grants the author of a module. */
const LENIENCE_MS = 5_000;

/** Weight of the newest step. */
const STEP_WEIGHT = 0.1;

/** Of the time of steps in seconds; 0 before the first. */
export class MovingAverage {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  add(seconds: number): void {
    this.#value = this.#value === 0 ? seconds : this.#value + STEP_WEIGHT * (seconds - this.#value);
  }

  forget(): void {
    this.#value = 0;
  }
}
