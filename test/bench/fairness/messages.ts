/** What the processes of the fairness benchmark say to each other. */
import type { AuthConfigInput } from '@cabstand/auth-admin';

/** A subnet, and as whom to call it. */
export interface Target {
  readonly routers: readonly string[];
  readonly hosters: readonly string[];
  readonly auth: AuthConfigInput;
  /** Id of the victim's key, which is no secret. */
  readonly victimKey: string;
}

/** To the victim: begin, or answer what happened since the last time. */
export type ToVictim = { readonly start: Target } | { readonly take: true };

export interface Turns {
  /** Milliseconds of those that gave the right answer: a session from its placement to its end. */
  readonly right: readonly number[];
  /** Why others failed; `wrong` where the answer was another one. */
  readonly failed: readonly string[];
}

/** To the hostile process: begin this attack, or answer what came of it since the last time. */
export type ToHostile =
  { readonly start: Target; readonly attack: string } | { readonly take: true };

/** How often each outcome came, and what is held now (`held`). */
export type Outcomes = Readonly<Record<string, number>>;
