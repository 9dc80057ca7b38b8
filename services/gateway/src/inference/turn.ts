/** A turn of a session of the client library as doors give it. */
import { CabstandError } from '@cabstand/core';
import type { LiveTurn, Session, TurnResult } from '@cabstand/client';
import type { RecordEvent, TurnInput } from '@cabstand/client/protocol';
import type { ServedRecord, TurnInput as ServedInput } from '@cabstand/doors';
import { json } from '../handlers/wire';
import { parametersText } from '../handlers/parse';
import type { Tensor } from '@cabstand/tensor';

export type Parts = AsyncIterable<readonly Tensor[]>;
type Run = AsyncIterator<RecordEvent, TurnResult, undefined>;

/** Throws LIMIT_EXCEEDED. */
export function inputOf({ prompt, tensors, parameters }: ServedInput): TurnInput {
  return { prompt, tensors, parameters: parametersText(parameters) };
}

/**
 * The records of a turn, as fast as they are taken: only with the next one is the one before acknowledged. Leaving
 * it cancels the turn.
 */
export async function* servedRecords(run: Run): AsyncGenerator<ServedRecord> {
  let chunks = 0;
  let left = true;
  try {
    for (;;) {
      const next = await run.next();
      if (next.done === true) {
        left = false;
        return;
      }
      const record = next.value;
      if (record.body === 'end') {
        // With this the session knows that its turn is over; a turn that failed says so in its record.
        left = false;
        await run.next().catch(() => undefined);
      }
      const served = servedRecord(record, chunks);
      if (served?.kind === 'chunk') chunks++;
      if (served !== undefined) yield served;
      if (!left) return;
    }
  } finally {
    if (left) await run.return?.();
  }
}

/** The same of a turn whose input comes in parts. Throws what their source failed with. */
export async function* servedLive(
  session: Session,
  run: LiveTurn<RecordEvent>,
  parts: Parts,
): AsyncGenerator<ServedRecord> {
  let failure: CabstandError | undefined;
  const feed = async (): Promise<void> => {
    // Resolves where there is room: parts are taken no faster than they are used.
    for await (const tensors of parts) await run.write(tensors);
    await run.end();
  };
  feed().catch((thrown: unknown) => {
    failure = CabstandError.from(thrown);
    void session.cancelTurn();
  });
  for await (const record of servedRecords(run)) {
    if (record.kind === 'end' && failure !== undefined) throw failure;
    yield record;
  }
}

/** @param chunks of the turn that came before */
function servedRecord(record: RecordEvent, chunks: number): ServedRecord | undefined {
  const { position } = record;
  switch (record.body) {
    case 'chunk': {
      const { text, tensors } = record;
      return { kind: 'chunk', position, index: chunks, text, tensors };
    }
    case 'message':
      return { kind: 'message', position, name: record.name, json: json(record.value) };
    case 'end': {
      const { reason, steps, note = '', error, generation } = record;
      return { kind: 'end', position, reason, steps, note, error, generation };
    }
    // What only whoever steers the session needs.
    case 'command':
    case 'input':
    case 'recorded':
    case 'result':
    case 'unknown':
      return undefined;
  }
}
