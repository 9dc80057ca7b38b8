/** Records of a step. */
import { DTYPES } from '@cabstand/tensor';
import type { PreparedGraph } from '../graphs/buffers';
import { tensorPrefix } from './step-writer';
import type { StepWriter } from './step-writer';

/** What is charged for records. */
export interface Credit {
  readonly id: number;
  records: number;
  bytes: number;
}

export interface Records {
  readonly number: number;
  records: number;
}

/** Writes the outputs of one row, and charges them. */
export function emitChunk(
  sequence: Credit,
  turn: Records,
  row: number,
  prepared: readonly PreparedGraph[],
  out: StepWriter,
): void {
  out.beginChunk(sequence.id, turn.number);
  try {
    for (const { emits } of prepared) for (const output of emits) output.write(row, out);
  } catch (error) {
    out.dropChunk();
    throw error;
  }
  charge(sequence, turn, out.endChunk());
}

const TOKEN_PREFIX = tensorPrefix('token', 'int64', [1], DTYPES.int64.bytes);
const token = new BigInt64Array(1);
const tokenBytes = new Uint8Array(token.buffer);

/** Writes a token and its text, and charges them. */
export function emitToken(
  sequence: Credit,
  turn: Records,
  id: number,
  text: string,
  out: StepWriter,
): void {
  out.beginChunk(sequence.id, turn.number);
  writeToken(id, out);
  out.text(text);
  charge(sequence, turn, out.endChunk());
}

/** Writes the token of a record that was begun. */
export function writeToken(id: number, out: StepWriter): void {
  token[0] = BigInt(id);
  out.tensor(TOKEN_PREFIX, tokenBytes, 0, tokenBytes.length);
}

/** Counts a record, and takes its credit. */
export function charge(
  sequence: { records: number; bytes: number },
  turn: { records: number },
  bytes: number,
): void {
  turn.records += 1;
  sequence.records -= 1;
  sequence.bytes -= bytes;
}
