/** What the processes of the pause benchmark say to each other. */
import type { AuthConfigInput } from '@cabstand/auth-admin';

/** Where to call, and as whom. */
export interface Target {
  readonly address: string;
  readonly auth: AuthConfigInput;
}

/** To the process that listens: begin, or answer what was heard since the last time. */
export type ToListener = { readonly start: Target } | { readonly take: true };

/** Milliseconds between neighbouring records. */
export interface Heard {
  readonly gaps: readonly number[];
  /** Longest delay of the listener's own event loop: what it says of itself and not of the hoster. */
  readonly ownDelay: number;
  /** What ended the stream, if anything did. */
  readonly ended: string | undefined;
}

/** What a burst sends. */
export type Load =
  | { readonly kind: 'prompt'; readonly model: string; readonly bytes: number }
  | { readonly kind: 'parameters'; readonly model: string; readonly bytes: number }
  | { readonly kind: 'inputs'; readonly model: string; readonly count: number }
  | {
      readonly kind: 'tensor';
      readonly model: string;
      readonly input: string;
      readonly bytes: number;
    };

/** To the process that sends: begin, or send one message over each of so many connections at once. */
export type ToSender =
  { readonly start: Target } | { readonly load: Load; readonly connections: number };

/** How often each outcome came: `records` for a stream that gave one, else the reason of its refusal. */
export type Outcomes = Readonly<Record<string, number>>;
