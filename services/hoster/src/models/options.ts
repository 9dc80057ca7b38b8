import { invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { EngineLog, EngineObserver } from '../engines/observer';
import { noObserver, silentLog } from '../engines/observer';
import { resolveEngineOptions } from '../engines/options';
import type { EngineOptions, ResolvedEngineOptions } from '../engines/options';
import { availableMemory } from './memory';

/** How long sessions of a version that was replaced may go on. */
export const STANDARD_DRAIN_MS = 600_000;

export interface ModelHostOptions {
  /** Folders of models. With a name in several, the first counts. */
  readonly repositories: readonly string[];
  /** Serve these models only. Default: all there are. */
  readonly only?: readonly string[];
  /** One bad model fails `settled()`, and with it the start. Default false: the others serve. */
  readonly strict?: boolean;
  /** How long sessions of a version that was replaced may go on, in milliseconds. Default 10 minutes. */
  readonly drainMs?: number;
  readonly engines?: EngineOptions;
  /** Default: logs nothing. */
  readonly log?: EngineLog;
  /** Default: observes nothing. */
  readonly observer?: EngineObserver;
  readonly clock?: Clock;
  /** Parent of the private folder for sockets. Default: the system's temporary folder. */
  readonly socketParent?: string;
  /** Bytes that may still be used. Default: what the machine or container has free. */
  readonly availableMemory?: () => number;
}

export interface ResolvedModelHostOptions extends Omit<
  Required<ModelHostOptions>,
  'engines' | 'only' | 'socketParent'
> {
  readonly engines: ResolvedEngineOptions;
  readonly only: readonly string[] | undefined;
  readonly socketParent: string | undefined;
}

export function resolveModelHostOptions(options: ModelHostOptions): ResolvedModelHostOptions {
  const drainMs = options.drainMs ?? STANDARD_DRAIN_MS;
  if (!(drainMs >= 0)) throw invalid('INVALID_ARGUMENT', 'models.drainMs', drainMs, 'at least 0');
  return {
    repositories: options.repositories,
    only: options.only,
    strict: options.strict ?? false,
    drainMs,
    engines: resolveEngineOptions(options.engines),
    log: options.log ?? silentLog,
    observer: options.observer ?? noObserver,
    clock: options.clock ?? systemClock,
    socketParent: options.socketParent,
    availableMemory: options.availableMemory ?? availableMemory,
  };
}
