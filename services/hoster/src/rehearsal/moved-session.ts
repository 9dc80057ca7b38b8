/** A session that is handed over in the middle of a turn and goes on where it was. */
import { randomBytes, randomUUID } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { BidiStream, RpcClient, v1 } from '@cabstand/rpc';

export interface RehearsedTurn {
  readonly model: string;
  readonly input: v1.TurnInput;
  /** Tensors of the turn come as live input. */
  readonly live: readonly v1.Tensor[] | undefined;
}

const ACK_EVERY = 32;

type Stream = BidiStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;

/** What was read of the session. */
interface Heard {
  records: number;
  chunks: number;
  checkpoint: v1.Checkpoint | null;
  turnOver: boolean;
}

/** Answers how many chunks the turn had, all told. Throws what kept it from its end. */
export async function moveSession(
  client: RpcClient,
  { model, input, live }: RehearsedTurn,
  signal: AbortSignal,
): Promise<number> {
  const heard: Heard = { records: 0, chunks: 0, checkpoint: null, turnOver: false };
  const session_id = randomUUID();
  const owner = randomBytes(16);
  const open = (counter: number, resume: v1.Resume | null): v1.SessionStreamRequest => ({
    open: { session_id, epoch: { counter, owner }, durable: true, model, resume },
  });
  const part = (number: number, inputs: readonly v1.Tensor[], last: boolean): v1.LiveInput => ({
    turn: 0,
    part: number,
    inputs: [...inputs],
    last,
  });

  const here = client.bidi(HosterService.rpc_session_stream, { signal });
  say(here, open(1, null));
  say(here, { turn: { turn: 0, input, live: live !== undefined } });
  if (live !== undefined) say(here, { input: part(0, live, false) });
  await hear(here, heard, () => heard.chunks > 0);
  say(here, { handover: {} });
  await hear(here, heard, () => false).catch((error: unknown) => {
    if (CabstandError.from(error).reason !== 'SESSION_EVICTED') throw error;
  });

  const elsewhere = client.bidi(HosterService.rpc_session_stream, { signal });
  const replay: v1.Replay[] = [{ turn: 0, input }];
  if (live !== undefined) replay.push({ turn: 0, live_input: part(0, live, false) });
  const { checkpoint, turnOver, records } = heard;
  say(
    elsewhere,
    open(2, {
      checkpoint,
      replay: turnOver ? [] : replay,
      delivered_position: records - 1,
      turn: turnOver ? 1 : 0,
    }),
  );
  if (live !== undefined && !turnOver) say(elsewhere, { input: part(1, [], true) });
  if (!turnOver) await hear(elsewhere, heard, () => heard.turnOver);
  say(elsewhere, { close: { reason: 'rehearsed' } });
  await hear(elsewhere, heard, () => false);
  return heard.chunks;
}

function say(stream: Stream, message: v1.SessionStreamRequest): void {
  // Where the stream has ended, reading it tells why.
  stream.send(message).catch(() => undefined);
}

/** Reads until `enough`, or to the end of the stream. */
async function hear(stream: Stream, heard: Heard, enough: () => boolean): Promise<void> {
  while (!enough()) {
    const next = await stream.responses.next();
    if (next.done === true) return;
    const { record, notice } = next.value;
    if (notice?.checkpoint) heard.checkpoint = notice.checkpoint.checkpoint;
    if (!record) continue;
    if (record.position !== heard.records)
      throw new CabstandError('INTERNAL', `record ${record.position} came as ${heard.records}`);
    heard.records++;
    if (heard.records % ACK_EVERY === 0) say(stream, { ack: { position: record.position } });
    if (record.chunk) heard.chunks++;
    if (!record.end_of_turn) continue;
    const { checkpoint, error } = record.end_of_turn;
    heard.turnOver = true;
    heard.checkpoint = checkpoint;
    if (error) throw new CabstandError('INTERNAL', `${error.reason}: ${error.message}`);
  }
}
