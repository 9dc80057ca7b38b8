import { CabstandError } from '@cabstand/core';
import type { ModelFacts, ServedRecord, ServedSession, TurnInput } from '@cabstand/doors';
import type { TraceContext } from '@cabstand/rpc';
import { checkOpen } from '../handlers/context';
import type { HandlerContext } from '../handlers/context';
import type { Held } from '../held-sessions';
import { inputOf, servedLive, servedRecords } from './turn';
import type { Parts } from './turn';

/** A session at some hoster in use by a door: it goes on elsewhere when that one dies. */
export class GatewaySession implements ServedSession {
  readonly model: ModelFacts;
  readonly #context: HandlerContext;
  readonly #held: Held;
  /** What its turns are part of: that of the call which opened it. */
  readonly #trace: TraceContext | undefined;

  constructor(
    context: HandlerContext,
    held: Held,
    model: ModelFacts,
    trace: TraceContext | undefined,
  ) {
    this.#trace = trace;
    this.#context = context;
    this.#held = held;
    this.model = model;
  }

  get id(): string {
    return this.#held.session.id;
  }

  get ended(): boolean {
    const { session, state } = this.#held;
    return state.kind === 'gone' || !['idle', 'open', 'recovering'].includes(session.state);
  }

  run(input: TurnInput, signal: AbortSignal): AsyncIterable<ServedRecord> {
    const how = { signal, trace: this.#trace };
    return this.#run(() => servedRecords(this.#session().records(inputOf(input), how)));
  }

  runLive(input: TurnInput, parts: Parts, signal: AbortSignal): AsyncIterable<ServedRecord> {
    const how = { signal, trace: this.#trace };
    return this.#run(() => {
      const session = this.#session();
      return servedLive(session, session.liveRecords(inputOf(input), how), parts);
    });
  }

  async command(name: string, args: unknown, signal: AbortSignal): Promise<unknown> {
    return await this.#held.session.command(name, args, { signal });
  }

  close(): Promise<void> {
    return this.#context.sessions.end(this.#held);
  }

  /** Throws SESSION_ENDED and DRAINING. */
  #session() {
    const { session } = this.#held;
    if (this.ended) throw new CabstandError('SESSION_ENDED', `session ${session.id} has ended`);
    checkOpen(this.#context);
    return session;
  }

  async *#run(records: () => AsyncGenerator<ServedRecord>): AsyncGenerator<ServedRecord> {
    try {
      yield* records();
    } finally {
      // No hoster has it: a turn that was refused there has begun nothing for others to go on with.
      if (this.ended || this.#held.session.state === 'idle') await this.close();
    }
  }
}
