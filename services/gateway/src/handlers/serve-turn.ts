import type { Session } from '@cabstand/client';
import type { RecordEvent } from '@cabstand/client/protocol';
import type { Encoded, StreamWriter, v1 } from '@cabstand/rpc';
import { encodedChunk } from './chunk-bytes';
import { passNotices } from './notices';
import type { NoticeListeners } from './notices';
import { json, wireOpened, wireRecord } from './wire';

/** Both response messages hold records and notices in the same fields. */
type Response = Pick<v1.InferenceStreamResponse & v1.SessionStreamResponse, 'notice' | 'record'>;
export type Out = StreamWriter<Response>;

/** How a caller is told of records. */
interface Told {
  /** Counter of its epoch. */
  readonly epoch: number;
  /** It may bring the checkpoint of an end with its next turn. */
  readonly checkpoints: boolean;
}

export type TurnEndRecord = Extract<RecordEvent, { readonly body: 'end' }>;

/**
 * Writes the records of a turn as fast as the caller reads: only then is the next one asked for, and with that
 * acknowledged at the hoster. Throws what the turn failed with, unless the caller was told by its last record.
 *
 * @param ending the last record, which is given, is about to be written: the next turn may come
 */
export async function serveTurn(
  run: AsyncIterable<RecordEvent>,
  told: Told,
  out: Out,
  ending: (end: TurnEndRecord) => void = () => undefined,
): Promise<void> {
  let over = false;
  try {
    for await (const record of run) {
      over = record.body === 'end';
      if (record.body === 'end') ending(record);
      await out.write(responseOf(record, told));
    }
  } catch (error) {
    if (!over) throw error;
  }
}

function responseOf(record: RecordEvent, { epoch, checkpoints }: Told): Response | Encoded {
  const encoded = record.body === 'chunk' ? encodedChunk(record, epoch) : undefined;
  return encoded ?? { record: wireRecord(record, epoch, checkpoints) };
}

/**
 * Passes on what a session tells besides its records, until the disposal. A caller that is behind is not told of
 * what may be lost.
 *
 * @param opened the caller was told that the session is open
 */
export function writeNotices(session: Session, out: Out, opened = false): Disposable {
  let behind = false;
  const push = (notice: v1.Notice): void => {
    if (behind || out.push({ notice })) return;
    behind = true;
    const caughtUp = (): void => {
      behind = false;
    };
    out.drained().then(caughtUp, () => undefined);
  };
  const listeners: NoticeListeners = {
    opened: (event) => void out.push({ notice: wireOpened(event) }),
    queued: ({ position }) => push({ queued: { position } }),
    progress: (progress) => push({ progress }),
    notice: ({ name, value, turn }) => push({ module: { name, json: json(value), turn } }),
  };
  return passNotices(session, listeners, opened);
}
