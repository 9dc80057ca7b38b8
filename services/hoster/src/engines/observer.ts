import type { LanguageFigures } from '@cabstand/engine';

/** What runs, for metrics and logs. Values are in base units. */
export interface EngineLabels {
  readonly model: string;
  readonly version: string;
}

export interface EngineSpending {
  readonly cpuSeconds: number;
  readonly auditSeconds: number;
}

export interface EngineObserver {
  /** After each model run. `batch`: rows. */
  step(engine: EngineLabels, batch: number, seconds: number): void;
  /** How an engine is, about once a second. */
  stats(
    engine: EngineLabels,
    stats: {
      readonly rssBytes: number;
      readonly sequences: number;
      readonly stateBytes: number;
      readonly ready: number;
      /** Of modules: longest time that the code of a session gave no sign of life; 0 where none is silent. */
      readonly silentSeconds: number;
    },
  ): void;
  /** What the engine of a language model did since it told before. */
  language(engine: EngineLabels, figures: LanguageFigures): void;
  /** The code of a module went on past the end of its session. */
  stray(engine: EngineLabels): void;
  /** What an engine has spent since it was told before: time on processors, and in audits. */
  spent(engine: EngineLabels, spent: EngineSpending): void;
  /** Rows that ran among others were run again alone, `count` times. */
  audited(engine: EngineLabels, result: 'passed' | 'failed', count: number): void;
  /** An engine died that was not asked to. */
  died(engine: EngineLabels, cause: EngineDeath): void;
  /** It serves again; `downSeconds` since it died. */
  restarted(engine: EngineLabels, downSeconds: number): void;
  /** Time of a load, verification included. */
  loaded(engine: EngineLabels, loadSeconds: number, verifySeconds: number): void;
  /** The engine is gone for good: forget its gauges. */
  gone(engine: EngineLabels): void;
}

export type EngineDeath = 'exited' | 'stalled' | 'memory' | 'protocol' | 'load';

/** Where engines log; pino fits. */
export interface EngineLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = (): void => undefined;

export const silentLog: EngineLog = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};

export const noObserver: EngineObserver = {
  step: nothing,
  stats: nothing,
  language: nothing,
  stray: nothing,
  spent: nothing,
  audited: nothing,
  died: nothing,
  restarted: nothing,
  loaded: nothing,
  gone: nothing,
};
