/** One turn of a session as a stream of records. */
import { CabstandError, abortReason } from '@cabstand/core';
import type { ServedRecord, TurnInput } from '@cabstand/doors';
import { lossOf } from '@cabstand/hosting';
import { checkAhead, checkPartAhead } from '@cabstand/sessions';
import type { Epoch, Session, Sessions, TurnContent } from '@cabstand/sessions';
import type { Tensor } from '@cabstand/tensor';
import { RecordReader } from './record-reader';
import { servedRecord } from './records';

export type Parts = AsyncIterable<readonly Tensor[]>;

export function contentOf(input: TurnInput, live: boolean): TurnContent {
  const { prompt, tensors, parameters } = input;
  return { prompt, tensors, parameters, live };
}

/**
 * Runs a turn of an open session. A session that lives by its call ends with it; another one is left as it is
 * after the turn, which is cancelled where nobody wants its end.
 */
export async function* runTurn(
  sessions: Sessions,
  session: Session,
  epoch: Epoch,
  content: TurnContent,
  parts: Parts | undefined,
  signal: AbortSignal,
): AsyncGenerator<ServedRecord> {
  const reader = new RecordReader();
  const turn = session.turn + 1;
  const from = session.position;
  let begun = false;
  let ended = false;
  try {
    const { signature } = session.model;
    // What came with the opening was looked at then.
    if (session.retention !== 'call')
      await checkAhead([{ content, parts: [] }], { signature, digests: session.named });
    if (signal.aborted) throw abortReason(signal);
    sessions.checkTurns();
    session.startTurn(turn, content);
    begun = true;
    reader.attached(session.attach(reader, epoch, from));
    sessions.greet(session);
    const fed = new Feed(session, turn, parts, signal);
    let chunks = 0;
    while (!ended) {
      const entry = await reader.next(signal);
      if (session.durable) session.acknowledge(entry.position);
      const record = servedRecord(entry, chunks);
      if (record === undefined) continue;
      if (record.kind === 'chunk') chunks++;
      ended = record.kind === 'end';
      if (ended) fed.check();
      yield record;
    }
  } finally {
    if (begun && !ended && session.retention !== 'call') await cancel(session, turn, reader);
    reader.detach(signal.aborted ? lossOf(abortReason(signal)) : 'cancelled');
    if (session.retention === 'call') session.close({ reason: ended ? 'completed' : 'cancelled' });
  }
}

/** Ends a turn that nobody reads on; the session can have the next one then. */
async function cancel(session: Session, turn: number, reader: RecordReader): Promise<void> {
  try {
    session.cancelTurn(turn);
    for (;;) {
      const { position, kind } = await reader.next();
      session.acknowledge(position);
      if (kind === 'end') return;
    }
  } catch {
    // The session is over: there is nothing to cancel.
  }
}

/** Hands a live turn its parts, no faster than they are used. */
class Feed {
  readonly #session: Session;
  readonly #turn: number;
  #failure: CabstandError | undefined;

  constructor(session: Session, turn: number, parts: Parts | undefined, signal: AbortSignal) {
    this.#session = session;
    this.#turn = turn;
    if (parts === undefined) return;
    this.#run(parts, signal).catch((thrown: unknown) => {
      this.#failure = CabstandError.from(thrown);
      if (session.end === undefined) session.cancelTurn(turn);
    });
  }

  /** Throws why the input came to no good end. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #run(parts: Parts, signal: AbortSignal): Promise<void> {
    const session = this.#session;
    let number = 0;
    for await (const tensors of parts) {
      await checkPartAhead(tensors, session.model.signature);
      await session.inputRoom();
      if (signal.aborted || session.end !== undefined || session.turn !== this.#turn) return;
      session.input(this.#turn, number++, tensors, false);
    }
    if (session.end === undefined && session.turn === this.#turn) session.endInput();
  }
}
