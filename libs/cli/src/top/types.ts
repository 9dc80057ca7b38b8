/** Sessions and slots, of a node, a model or a subnet. */
export interface Slots {
  /** Sessions that take a slot, as far as the counts of free slots tell. */
  readonly running: number;
  /** Slots for new sessions. */
  readonly free: number;
  /** Further free slots, kept for sessions that go on from elsewhere. */
  readonly kept: number;
  readonly slots: number;
  /** Sessions that wait for a slot. */
  readonly waiting: number;
}

export interface NodeRow extends Slots {
  readonly node: string;
  readonly address: string;
  readonly state: string;
  readonly reasons: readonly string[];
  readonly version: string;
  /** Open sessions: those that run and those that are idle. */
  readonly open: number;
  readonly idle: number;
  readonly lag_ms: number;
  /** Age of the newest heartbeat; null where there was none. */
  readonly heartbeat_ms: number | null;
  readonly banned_until: string | null;
  readonly models: readonly string[];
  /** Models that take no sessions there, `name: state`. */
  readonly other_models: readonly string[];
}

export interface ModelRow extends Slots {
  readonly model: string;
  /** Nodes that hand it out, and those where it is failed, loading or draining. */
  readonly nodes: number;
  readonly failed: number;
  readonly changing: number;
  /** Mean time of a step over its nodes; null where none has told of it. */
  readonly step_ms: number | null;
  /** From metrics, null without: records for callers a second, and how long turns wait for their first chunk. */
  readonly records_per_second: number | null;
  readonly first_chunk_p50_ms: number | null;
  readonly first_chunk_p99_ms: number | null;
}

/** What metrics add: over the time between two rounds of scrapes, and since the services started. */
export interface Flow {
  /** How long the time is of which the rates are; 0 where there was one round only. */
  readonly window_seconds: number;
  readonly records_per_second: number | null;
  readonly first_chunk_p50_ms: number | null;
  readonly first_chunk_p99_ms: number | null;
  /** Hand-outs a second, by result. */
  readonly handouts_per_second: Readonly<Record<string, number>> | null;
  readonly handouts_total: Readonly<Record<string, number>>;
  readonly reservations: number;
  /** Times that sessions went on after a break: in another engine, or coming from another hoster. */
  readonly failovers: number | null;
  readonly failovers_total: Readonly<Record<string, number>>;
  readonly sessions_lost_total: number;
  readonly engine_deaths_total: number;
}

export interface TopView {
  readonly time: string;
  readonly routers: readonly string[];
  readonly nodes_by_state: Readonly<Record<string, number>>;
  readonly sessions: Slots & { readonly open: number; readonly idle: number };
  /** Null without metrics. */
  readonly flow: Flow | null;
  /** Services whose metrics were asked for and not had. */
  readonly silent: readonly { readonly url: string; readonly error: string }[];
  readonly models: readonly ModelRow[];
  readonly nodes: readonly NodeRow[];
}
