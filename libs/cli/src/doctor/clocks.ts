import { RESPONSE_HEADERS } from '@cabstand/auth';
import type { CabstandError, Clock } from '@cabstand/core';
import type { Authorizer, OutgoingRequest } from '@cabstand/rpc';
import { duration } from '../render/units';
import { fail, ok, warn } from './finding';
import type { Finding } from './finding';

/** How a server's clock compares with the one here. */
interface Reading {
  /** The server's time less the time here, milliseconds. */
  readonly aheadMs: number;
  /** The difference may be wrong by this much: the server answered at some time between request and answer. */
  readonly withinMs: number;
}

/** Servers refuse what was signed later than this by their clock (`auth.ahead_seconds`). */
const AHEAD_MS = 1000;
/** Half of what they take from the past (`auth.window_seconds`). */
const FAR_MS = 30_000;
/** For a second after its start a server says that it is a second later than it is. */
const REFUSAL_WITHIN_MS = 1000;

/** Learns the clocks of servers from their answers to signed calls, which carry the time. */
export class ServerClocks {
  readonly #clock: Clock;
  readonly #readings = new Map<string, Reading>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The same authorizer, whose calls are looked at. */
  watching(inner: Authorizer): Authorizer {
    const sent = new WeakMap<OutgoingRequest, number>();
    return {
      signRequest: async (request) => {
        const headers = await inner.signRequest(request);
        sent.set(request, this.#clock.now());
        return headers;
      },
      validateResponse: async (request, headers) => {
        const receivedMs = this.#clock.now();
        await inner.validateResponse(request, headers);
        const [text] = headers.get(RESPONSE_HEADERS.timestamp);
        this.#note(request.audience, Number(text ?? NaN), sent.get(request) ?? NaN, receivedMs);
      },
      refresh: async (error, request) => {
        this.#noteRefusal(error);
        return (await inner.refresh?.(error, request)) ?? false;
      },
      validateRequest: (request) => inner.validateRequest(request),
      signResponse: (request) => inner.signResponse(request),
    };
  }

  /** About the clock of a server, `host:port`; undefined where no answer told its time. */
  finding(server: string): Finding | undefined {
    const reading = this.#readings.get(server);
    return reading === undefined ? undefined : clockFinding(server, reading);
  }

  #note(server: string, serverMs: number, sentMs: number, receivedMs: number): void {
    const reading = {
      aheadMs: serverMs - (sentMs + receivedMs) / 2,
      withinMs: (receivedMs - sentMs) / 2,
    };
    const known = this.#readings.get(server);
    if (!Number.isFinite(reading.aheadMs)) return;
    // The quickest answer says most.
    if (known === undefined || reading.withinMs < known.withinMs)
      this.#readings.set(server, reading);
  }

  #noteRefusal({ metadata }: CabstandError): void {
    const { server_time_ms: time, audience } = metadata;
    if (time === undefined || audience === undefined) return;
    const aheadMs = Number(time) - this.#clock.now();
    if (Number.isFinite(aheadMs) && !this.#readings.has(audience))
      this.#readings.set(audience, { aheadMs, withinMs: REFUSAL_WITHIN_MS });
  }
}

/** What a reading means to whoever signs calls here. */
export function clockFinding(server: string, { aheadMs, withinMs }: Reading): Finding {
  const name = `clock ${server}`;
  const off = Math.max(0, Math.abs(aheadMs) - withinMs);
  const how = `this machine is ${duration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'behind' : 'ahead of'} it`;
  if (off >= FAR_MS)
    return fail(
      name,
      how,
      'Set the clocks of both (NTP): signatures are refused that are a minute old, or a second early.',
    );
  if (aheadMs < 0 && off > AHEAD_MS)
    return warn(
      name,
      how,
      'Set the clocks of both (NTP): what is signed more than a second early is refused (CLOCK_SKEW); Cabstand’s own clients sign it again, others may not.',
    );
  return ok(name, off < AHEAD_MS ? 'agrees with this machine' : how);
}
