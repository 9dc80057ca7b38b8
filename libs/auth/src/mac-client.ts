import { BoundedMap } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { newHalf } from './mac-agreement';
import type { Half } from './mac-agreement';

/** A key for MACs as the caller has it. */
export interface AgreedKey {
  readonly id: string;
  readonly secret: Buffer;
  /** What the server signed its half with. */
  readonly serverKeyId: string;
}

/** How one call is to be proved. */
export type Proof =
  | { readonly by: 'signature' }
  /** Signed, with half a key for MACs. */
  | { readonly by: 'offer'; readonly half: Half }
  | { readonly by: 'mac'; readonly key: AgreedKey };

interface Server {
  /** It has said that it takes offers. */
  takesOffers: boolean;
  /** The half that was offered last, until it is answered. */
  offered: { readonly half: Half; readonly sinceMs: number } | undefined;
  agreed:
    { readonly key: AgreedKey; readonly renewMs: number; readonly untilMs: number } | undefined;
  /** Keys that it did not know, one after another. */
  refusals: number;
  /** Nothing is offered before. */
  quietUntilMs: number;
}

/** Servers with which a client has agreed on something. */
const MAX_SERVERS = 1024;
/** An offer without an answer for so long was lost. */
const ANSWER_MS = 5000;
/** A key is renewed after this part of its life, so that calls need no signature meanwhile. */
const RENEW_AT = 0.8;
const QUIET_MS = 1000;
const QUIET_FACTOR = 4;
const LONGEST_QUIET_MS = 300_000;
export const SIGNED: Proof = { by: 'signature' };

/**
 * Which keys for MACs a caller has agreed with which server. A call over a new connection is signed, and so is the
 * next, which makes the offer: whoever calls once agrees on nothing, and a server that was started anew, or is
 * of an older version, is asked for nothing that it does not know.
 */
export class ClientMacs {
  readonly #clock: Clock;
  readonly #servers = new BoundedMap<string, Server>(MAX_SERVERS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param afresh what was agreed before may be known no more: see `OutgoingRequest` */
  choose(audience: string, afresh: boolean): Proof {
    const server = this.#servers.get(audience);
    if (server === undefined) return SIGNED;
    if (afresh) {
      forget(server);
      return SIGNED;
    }
    const nowMs = this.#clock.monotonic();
    const { agreed } = server;
    if (agreed !== undefined && nowMs < agreed.renewMs) return { by: 'mac', key: agreed.key };
    if (mayOffer(server, nowMs)) {
      const half = newHalf();
      server.offered = { half, sinceMs: nowMs };
      return { by: 'offer', half };
    }
    return agreed !== undefined && nowMs < agreed.untilMs ? { by: 'mac', key: agreed.key } : SIGNED;
  }

  /** The server answered a signed call, and told whether it takes offers. */
  told(audience: string, takesOffers: boolean): void {
    const server = this.#servers.get(audience);
    if (server !== undefined) server.takesOffers = takesOffers;
    else if (takesOffers)
      this.#servers.set(audience, {
        takesOffers,
        ...{ offered: undefined, agreed: undefined, refusals: 0, quietUntilMs: -Infinity },
      });
  }

  /** The offer was answered; with nothing, where the server made no key of it. */
  answered(audience: string, half: Half, key: AgreedKey | undefined, lifetimeMs: number): void {
    const server = this.#servers.get(audience);
    if (server?.offered?.half !== half) return;
    // Counted from before the server did: here the key ends first.
    const { sinceMs } = server.offered;
    server.offered = undefined;
    if (key === undefined) return;
    // The one before was good for as long as it should be.
    if (server.agreed !== undefined) server.refusals = 0;
    const untilMs = sinceMs + lifetimeMs;
    server.agreed = { key, renewMs: sinceMs + lifetimeMs * RENEW_AT, untilMs };
  }

  /** A call that was proved like this was refused. True if signing it again can help. */
  refused(audience: string, proof: Proof): boolean {
    if (proof.by === 'signature') return false;
    const server = this.#servers.get(audience);
    if (server === undefined) return true;
    if (proof.by === 'offer') {
      if (server.offered?.half === proof.half) this.#quieten(server);
    } else if (server.agreed?.key === proof.key) this.#quieten(server);
    return true;
  }

  /** Nothing is known of the call that was refused: whatever was agreed may have been the cause. */
  refusedUnknown(): boolean {
    for (const server of this.#servers.values())
      if (server.agreed !== undefined) this.#quieten(server);
    return true;
  }

  /** The offer came to nothing, for another reason. */
  lost(audience: string, proof: Proof): void {
    const server = this.#servers.get(audience);
    if (proof.by === 'offer' && server?.offered?.half === proof.half) server.offered = undefined;
  }

  /** Where several servers share one address, keys of one are unknown to the others: not to be tried all the time. */
  #quieten(server: Server): void {
    forget(server);
    const quietMs = Math.min(QUIET_MS * QUIET_FACTOR ** server.refusals, LONGEST_QUIET_MS);
    server.refusals++;
    server.quietUntilMs = this.#clock.monotonic() + quietMs;
  }
}

function forget(server: Server): void {
  server.takesOffers = false;
  server.offered = undefined;
  server.agreed = undefined;
}

function mayOffer(server: Server, nowMs: number): boolean {
  if (!server.takesOffers || nowMs < server.quietUntilMs) return false;
  return server.offered === undefined || nowMs - server.offered.sinceMs >= ANSWER_MS;
}
