/** A hoster's process: the real handlers and session core on an engine in memory. */
import { every } from '@cabstand/core';
import type { FakeClock } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import type { Sealer } from '@cabstand/auth';
import { Encoded, HosterService } from '@cabstand/rpc';
import type { ServerCall, StreamWriter, v1 } from '@cabstand/rpc';
import { sessionHandlers } from '@cabstand/hosting';
import { Sessions } from '@cabstand/sessions';
import type { SessionOptions } from '@cabstand/sessions';
import { ProcessClock } from '@cabstand/testing';
import type { Call } from './call';
import { Engine } from './engine';
import { Fences } from './fences';
import type { Asking } from './fences';
import type { Listener } from './network';
import type { ServerSide } from './server-side';

const PROGRESS_MS = 1000;

export interface HosterInit {
  readonly address: string;
  readonly clock: FakeClock;
  readonly sealer: Sealer;
  readonly options: SessionOptions;
  /** Something that must not be. */
  readonly onViolation: (what: string) => void;
}

export class Hoster implements Listener {
  readonly clock: ProcessClock;
  readonly engine = new Engine();
  readonly sessions: Sessions;
  readonly #handlers;
  readonly #fences: Fences;
  readonly #progress;
  readonly #onViolation: (what: string) => void;

  constructor({ address, clock, sealer, options, onViolation }: HosterInit) {
    this.clock = new ProcessClock(clock);
    this.#onViolation = onViolation;
    this.#fences = new Fences(address, onViolation);
    const host = this.engine.host();
    this.sessions = new Sessions({ host, clock: this.clock, sealer, options });
    this.#progress = every(this.clock, PROGRESS_MS, () => this.sessions.tellProgress());
    this.#handlers = sessionHandlers({
      sessions: this.sessions,
      host,
      identity: { nodeId: address, incarnation: '', version: '0' },
      tickets: ticketVerifier(),
      leaseConsumed: () => undefined,
    });
  }

  accept(call: Call, server: ServerSide): void {
    this.#serve(call, server).then(
      () => server.finish(),
      (thrown: unknown) => {
        this.#look(thrown);
        server.finish(thrown);
      },
    );
  }

  /** Its sessions hear no more that there is life. */
  fallSilent(): void {
    this.#progress.cancel();
  }

  /** What is left when all sessions are gone. */
  leftovers(): Readonly<Record<string, number>> {
    return {
      sessions: this.sessions.size,
      principals: this.sessions.principals,
      sequences: this.engine.openSequences,
      timers: this.clock.pending,
    };
  }

  async #serve(route: Call, server: ServerSide): Promise<void> {
    const { method } = route.route;
    const info = HosterService[method].info;
    const call = {
      info,
      peer: 'memory',
      principal: { id: 'alice', roles: new Set(['client']) },
      signal: server.signal,
    } as unknown as ServerCall;
    const first = server.requests();
    switch (method) {
      case 'rpc_inference_stream': {
        const { request, response } = HosterService[method];
        const asked = request.decode(await only(first));
        const out = this.#writer(server, response.encode, asked);
        await this.#handlers[method](asked, call, out);
        return;
      }
      case 'rpc_session_stream': {
        const { request, response } = HosterService[method];
        const asking: Asking = {};
        const out = this.#writer(server, response.encode, asking);
        await this.#handlers[method](this.#requests(first, request.decode, asking), call, out);
        return;
      }
      case 'rpc_session_update': {
        const { request, response } = HosterService[method];
        const asked = request.decode(await only(first));
        const answer = await this.#handlers[method](asked, call);
        this.#fences.raised(asked);
        server.push(response.encode(answer));
        return;
      }
      case 'rpc_session_status': {
        const { request, response } = HosterService[method];
        const answer = await this.#handlers[method](request.decode(await only(first)), call);
        server.push(response.encode(answer));
        return;
      }
      case 'rpc_close_session': {
        const { request, response } = HosterService[method];
        const answer = await this.#handlers[method](request.decode(await only(first)), call);
        server.push(response.encode(answer));
      }
    }
  }

  async *#requests(
    from: AsyncGenerator<Buffer>,
    decode: (bytes: Buffer) => v1.SessionStreamRequest__Output,
    asking: Asking,
  ): AsyncGenerator<v1.SessionStreamRequest__Output> {
    for await (const bytes of from) {
      const request = decode(bytes);
      const opening = request.open ?? request.attach;
      if (opening) Object.assign(asking, opening);
      yield request;
    }
  }

  #writer<Res extends { notice?: v1.Notice | null }>(
    server: ServerSide,
    encode: (message: Res) => Buffer,
    asking: Asking,
  ): StreamWriter<Res> {
    const push = (message: Res | Encoded): boolean => {
      if (message instanceof Encoded) this.#fences.record(asking);
      else if (message.notice?.opened) this.#fences.passed(asking);
      return server.push(message instanceof Encoded ? message.bytes : encode(message));
    };
    const drained = (): Promise<void> => server.drained();
    return { push, drained, write: (message) => (push(message) ? Promise.resolve() : drained()) };
  }

  /** A mistake of the program is not to be taken for a refusal. */
  #look(thrown: unknown): void {
    if (!(thrown instanceof Error) || thrown.name !== 'CabstandError')
      this.#onViolation(`a handler failed: ${String(thrown)}`);
  }
}

async function only(requests: AsyncGenerator<Buffer, undefined>): Promise<Buffer> {
  const { value } = await requests.next();
  if (value === undefined) throw new Error('a call began without a message');
  return value;
}
