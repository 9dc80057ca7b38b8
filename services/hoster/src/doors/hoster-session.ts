import { CabstandError, abortable, toReason } from '@cabstand/core';
import type { ModelFacts, ServedRecord, ServedSession, TurnInput } from '@cabstand/doors';
import { commandsOf } from '@cabstand/hosting';
import type { Epoch, Session, Sessions } from '@cabstand/sessions';
import { contentOf, runTurn } from './turn';
import type { Parts } from './turn';

/** A session of this hoster in use by a door, which is its one consumer. */
export class HosterSession implements ServedSession {
  readonly model: ModelFacts;
  readonly #sessions: Sessions;
  readonly #session: Session;
  readonly #epoch: Epoch;

  constructor(sessions: Sessions, session: Session, epoch: Epoch, model: ModelFacts) {
    this.#sessions = sessions;
    this.#session = session;
    this.#epoch = epoch;
    this.model = model;
  }

  get id(): string {
    return this.#session.id;
  }

  get ended(): boolean {
    return this.#session.end !== undefined;
  }

  run(input: TurnInput, signal: AbortSignal): AsyncIterable<ServedRecord> {
    return this.#run(input, undefined, signal);
  }

  runLive(input: TurnInput, parts: Parts, signal: AbortSignal): AsyncIterable<ServedRecord> {
    return this.#run(input, parts, signal);
  }

  async command(name: string, args: unknown, signal: AbortSignal): Promise<unknown> {
    const json = textOf(args ?? {});
    if (json === undefined)
      throw new CabstandError('COMMAND_INVALID', 'arguments: expected what JSON can say', {
        metadata: { field: 'arguments', expected: 'what JSON can say' },
      });
    const told = commandsOf(this.#session, name).tell(name, json);
    const { value, error } = await abortable(told, signal);
    if (error !== undefined)
      throw new CabstandError(toReason(error.reason), error.message, { metadata: error.metadata });
    return value === undefined || value === '' ? undefined : (JSON.parse(value) as unknown);
  }

  close(): Promise<void> {
    // A module is told, and may take its time; nobody reads what it still says.
    if (!this.ended) this.#session.close({ reason: 'completed' });
    return Promise.resolve();
  }

  #run(
    input: TurnInput,
    parts: Parts | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<ServedRecord> {
    const content = contentOf(input, parts !== undefined);
    return runTurn(this.#sessions, this.#session, this.#epoch, content, parts, signal);
  }
}

/** Undefined for what JSON cannot say, or not so deep. */
function textOf(args: unknown): string | undefined {
  try {
    return JSON.stringify(args);
  } catch {
    return undefined;
  }
}
