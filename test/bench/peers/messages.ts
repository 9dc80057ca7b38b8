/** What the benchmark and the process that loads servers say to each other. */

/** How a server is spoken to: the contract, and whether sessions survive. */
export type Dialect = 'cabstand' | 'cabstand-durable' | 'voice' | 'triton';

export interface Job {
  /** host:port */
  readonly address: string;
  readonly dialect: Dialect;
  readonly streams: number;
  /** Frames of a stream that may be on their way. */
  readonly window: number;
  /** Of the measured time. */
  readonly seconds: number;
  /** What answers have to be: the golden ones, or 0 where nothing is computed. */
  readonly expect: 'golden' | 'zero';
}

export interface Figures {
  readonly frames: number;
  readonly seconds: number;
  /** Milliseconds from a frame to its answer. */
  readonly p50: number;
  readonly p99: number;
  /** Messages that came for each frame. */
  readonly messages: number;
  /** Processor time of the load itself, in seconds. */
  readonly cpuSeconds: number;
}

/** `measuring` and `measured` come at the two ends of the measured time. */
export type LoadEvent =
  | { readonly event: 'measuring' }
  | { readonly event: 'measured'; readonly figures: Figures }
  | { readonly event: 'over' }
  | { readonly event: 'failed'; readonly error: string };
