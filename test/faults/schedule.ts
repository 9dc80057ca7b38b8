import type { Random } from './random';

/** What is done to a subnet, and for how long. Times in milliseconds. */
export type Fault =
  /** SIGKILL to the engine of a model with a running stream. */
  | { readonly kind: 'kill-engine' }
  /** SIGSTOP to it, SIGCONT later, if nobody has killed it. */
  | { readonly kind: 'stop-engine'; readonly ms: number }
  /** SIGKILL to the hoster, which starts again after `downMs`. */
  | { readonly kind: 'kill-hoster'; readonly downMs: number }
  /** The same to all of them, one right after the other. */
  | { readonly kind: 'kill-all'; readonly betweenMs: number; readonly downMs: number }
  | { readonly kind: 'stop-hoster'; readonly ms: number }
  /** All connections of the hoster are reset. */
  | { readonly kind: 'reset' }
  /** The one way to or from the hoster, or both, is cut in silence. */
  | {
      readonly kind: 'black-hole';
      readonly direction: 'up' | 'down' | 'both';
      readonly ms: number;
    }
  /** SIGTERM to the hoster, which starts again when it has gone. */
  | { readonly kind: 'drain'; readonly downMs: number }
  /** SIGKILL to one of two gateways, which starts again. Only in runs with plain callers of two. */
  | { readonly kind: 'kill-gateway'; readonly downMs: number }
  /** SIGKILL to one router, or to all, which start again empty. */
  | { readonly kind: 'restart-router'; readonly all: boolean; readonly downMs: number };

export type FaultKind = Fault['kind'];

export interface Step {
  /** Pause before it. */
  readonly afterMs: number;
  readonly fault: Fault;
  /** Hosters in the order of preference: the first that is whole and has a running stream is hurt. */
  readonly order: readonly number[];
}

/** How often each kind is drawn, relative to the others. */
export const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  'kill-engine': 26,
  'stop-engine': 4,
  'kill-hoster': 20,
  'kill-all': 1,
  'stop-hoster': 7,
  reset: 20,
  'black-hole': 9,
  drain: 9,
  'restart-router': 4,
  'kill-gateway': 0,
};

/** What is done to two gateways and the hosters behind them, and how often. */
export const GATEWAY_WEIGHTS: Readonly<Record<FaultKind, number>> = {
  ...{ 'kill-engine': 0, 'stop-engine': 0, 'kill-all': 0, 'stop-hoster': 0, reset: 0 },
  ...{ 'black-hole': 0, drain: 0, 'restart-router': 0 },
  'kill-hoster': 1,
  'kill-gateway': 4,
};

/** The kinds that a run of so many faults begins with: each once, where there is room for all. */
export function dueKinds(
  faults: number,
  weights: Readonly<Record<FaultKind, number>> = WEIGHTS,
): FaultKind[] {
  const kinds = (Object.keys(weights) as FaultKind[]).filter((kind) => weights[kind] > 0);
  return faults < kinds.length ? [] : kinds;
}

/** The next step of a schedule: the same seed gives the same steps. */
export function nextStep(
  random: Random,
  hosters: number,
  weights: Readonly<Record<FaultKind, number>> = WEIGHTS,
  kind: FaultKind = random.weighted(weights),
): Step {
  return {
    afterMs: random.int(50, 600),
    fault: draw(random, kind),
    order: random.shuffled(Array.from({ length: hosters }, (_, i) => i)),
  };
}

function draw(random: Random, kind: FaultKind): Fault {
  switch (kind) {
    case 'kill-engine':
    case 'reset':
      return { kind };
    case 'stop-engine':
      return { kind, ms: random.int(100, 5000) };
    case 'kill-hoster':
    case 'kill-gateway':
    case 'drain':
      return { kind, downMs: random.int(0, 1500) };
    case 'kill-all':
      return { kind, betweenMs: random.int(0, 300), downMs: random.int(0, 500) };
    case 'stop-hoster':
      return { kind, ms: random.int(100, 6000) };
    case 'black-hole':
      return {
        kind,
        direction: random.pick(['up', 'down', 'both'] as const),
        ms: random.int(100, 6000),
      };
    case 'restart-router':
      return { kind, all: random.next() < 0.3, downMs: random.int(0, 2000) };
  }
}
