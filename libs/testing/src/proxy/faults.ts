/** Which way bytes go: `up` from whoever dialled to the service, `down` back. */
export type Direction = 'up' | 'down';

/** What a proxy does to the bytes of its connections. */
export type NetFault =
  /** Each byte arrives this much later. Lasts. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** No more than this many bytes a second. Lasts. */
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  /**
   * Nothing arrives any more, not even that a connection has ended: a cable that was pulled. What was
   * sent meanwhile arrives when it heals, as TCP would send it again. Lasts.
   */
  | { readonly kind: 'black-hole' }
  /** The next bytes (default 1) arrive inverted. */
  | { readonly kind: 'corrupt'; readonly bytes?: number }
  /** The next bytes never arrive, those after them do. */
  | { readonly kind: 'drop'; readonly bytes: number }
  /** The receiver is told that no more follows, and gets no more. */
  | { readonly kind: 'half-close' }
  /** The connection is reset, both ways at once. */
  | { readonly kind: 'reset' };

export interface NetFaultOptions {
  /** Default: both. */
  readonly direction?: Direction | 'both';
  /**
   * The fault begins when each connection has carried this many bytes that way, counted from its first
   * byte if it is a new one, else from now. Default 0: at once.
   */
  readonly afterBytes?: number;
  /** Connections made later are hit too, until it heals. Default: true for faults that last. */
  readonly upcoming?: boolean;
}

/** A fault that was put into a proxy. */
export interface Injection extends Disposable {
  /** How often it has taken effect: once for each connection and direction. */
  readonly hits: number;
  /** Ends it; what it has held back arrives. What was done to bytes stays done. */
  heal(): void;
}

export const LASTING: ReadonlySet<NetFault['kind']> = new Set(['delay', 'throttle', 'black-hole']);
