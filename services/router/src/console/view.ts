/** What the console's page is told, as JSON. Types only: the page is built apart from the router. */

/** Slots and sessions, of a node, a model or all. */
export interface Slots {
  /** Sessions that take a slot, as far as the free slots tell. */
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
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly reasons: readonly string[];
  readonly version: string;
  /** Open sessions: those that run and those that are idle. */
  readonly open: number;
  readonly lagMs: number;
  /** Age of the newest heartbeat; null where there was none. */
  readonly beatMs: number | null;
  /** How long it is banned yet; null where it is not. */
  readonly bannedMs: number | null;
  readonly models: readonly string[];
  /** Models that are not among `models`. */
  readonly moreModels: number;
  /** Somebody has asked it to drain. */
  readonly drains: boolean;
}

export interface ModelRow extends Slots {
  readonly name: string;
  /** Each what nodes say, in no order: most often one. */
  readonly versions: readonly string[];
  readonly kinds: readonly string[];
  readonly classes: readonly string[];
  readonly providers: readonly string[];
  readonly references: readonly string[];
  /** Nodes that offer it, and those where it loads, or could not be loaded. */
  readonly nodes: number;
  readonly loading: number;
  readonly failed: number;
  /** Mean time of a step over the nodes that tell of it; null where none does. */
  readonly stepMs: number | null;
  readonly recordsPerSecond: number;
  /** Mean from the start of a turn to its first chunk over the nodes that tell of it; null where none does. */
  readonly firstChunkMs: number | null;
}

export interface Happening {
  /** Grows by one with each. */
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly kind: 'joined' | 'state' | 'left' | 'banned' | 'reported' | 'moved';
  /** Whether somebody should look. */
  readonly bad: boolean;
  readonly text: string;
}

/** Counted since the router's start. */
export interface Totals {
  /** By result. */
  readonly handOuts: Readonly<Record<string, number>>;
  /** Sessions that opened with a reservation. */
  readonly used: number;
  readonly moved: number;
  readonly bans: number;
  readonly reports: number;
}

/** One moment of the charts. Rates are over the time since the moment before; null where there was none. */
export interface Point {
  readonly at: number;
  readonly running: number;
  readonly waiting: number;
  readonly handOutsPerSecond: number | null;
  readonly refusedPerSecond: number | null;
  readonly movedPerSecond: number | null;
  readonly recordsPerSecond: number;
  readonly firstChunkMs: number | null;
  readonly stepMs: number | null;
  readonly lagMs: number;
}

export interface Gateway {
  readonly principal: string;
  /** Streams on which it follows the nodes. */
  readonly streams: number;
}

export interface Snapshot {
  readonly point: Point;
  readonly nodes: {
    readonly known: number;
    readonly byState: Readonly<Record<string, number>>;
    readonly banned: number;
  };
  readonly sessions: Slots & { readonly open: number };
  readonly totals: Totals;
  /** What needs somebody first. */
  readonly rows: readonly NodeRow[];
  readonly models: readonly ModelRow[];
  readonly modelsKnown: number;
  /** The newest first. */
  readonly happenings: readonly Happening[];
  readonly gatewaysKnown: number;
  /** For administrators only. */
  readonly gateways: readonly Gateway[] | null;
}

/** What a viewer is told first. */
export interface Hello {
  readonly principal: string;
  /** Whether drains are allowed. */
  readonly admin: boolean;
  readonly incarnation: string;
  readonly rowsPerPage: number;
  readonly history: readonly Point[];
}

/** One move of a session. */
export interface Step {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly from: string;
  readonly to: string;
  /** Of the session at its new hoster. */
  readonly epoch: number;
  /** What was known of the hoster that it left, at that moment. */
  readonly why: string;
}

/** Where a durable session is and was: of the answer of `/console/session`. */
export interface SessionPath {
  readonly principal: string;
  /** '' where it is not known. */
  readonly model: string;
  /** Who says that he has it, the likeliest first; none: it has ended, or is between two. */
  readonly now: readonly {
    readonly node: string;
    readonly state: string;
    readonly epoch: number;
  }[];
  /** The oldest first. */
  readonly steps: readonly Step[];
}

/** A page of nodes: the answer of `/console/nodes`. */
export interface NodePage {
  readonly from: number;
  /** Nodes that were found. */
  readonly found: number;
  readonly rows: readonly NodeRow[];
}
