/** What the processes of the benchmark say to each other. */
export interface FleetJob {
  /** host:port of the router. */
  readonly router: string;
  /** Hosters of this process, numbered from `first` on over all processes. */
  readonly first: number;
  readonly count: number;
  /** HTTP/2 connections that they share; as many as there are hosters: one each. */
  readonly connections: number;
  /** Share of the heartbeats that have another load to tell than the one before. */
  readonly changing: number;
}

/** A hand-out whose session is opened, as far as the router can tell. */
export type Used = readonly [node: string, lease: string];

export type ToFleet =
  { readonly start: FleetJob } | { readonly used: readonly Used[] } | { readonly count: true };

/** Since the process was asked last. */
export interface FleetCounts {
  readonly beats: number;
  readonly answers: number;
  readonly bytes: number;
  readonly pings: number;
}

export interface CallerJob {
  readonly router: string;
  readonly perSecond: number;
  readonly seconds: number;
}

export type ToCaller = { readonly run: CallerJob };

export type FromCaller =
  | { readonly used: readonly Used[] }
  | {
      /** Milliseconds from when each was due to its answer. */
      readonly times: readonly number[];
      readonly refused: number;
      /** What the last refusal said. */
      readonly why: string;
    };
