/** What the client's process of this benchmark and its parent say to each other. */
import type { AuthConfigInput } from '@cabstand/auth-admin';

export interface Stream {
  readonly routers: readonly string[];
  readonly auth: AuthConfigInput;
  readonly model: string;
  /** Samples of `signal`, for a model that takes some. */
  readonly samples?: number;
}

/** Each is answered by one message: `begin` once records flow, `take` by Taken, `end` once it is over. */
export type ToClient =
  { readonly begin: Stream } | { readonly take: true } | { readonly end: true };

export interface Taken {
  /** Records so far. */
  readonly records: number;
  /** Processor time of the client's process so far. */
  readonly cpuSeconds: number;
  /** Of its clock, in ms. */
  readonly at: number;
}
