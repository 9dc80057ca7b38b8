/** Records of a step. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { decodeToken } from '@cabstand/model';
import type { Manifest } from '@cabstand/model';
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { DType, NumericArray } from '@cabstand/tensor';
import { allocate, bytesOf } from '../graphs/batch-tensor';
import { tensorPrefix } from './step-writer';
import type { StepWriter } from './step-writer';
import type { Emit, PreparedGraph } from '../graphs/buffers';
import { chooseToken } from './sampling';
import type { RecurrentSequence, RecurrentTurn } from '../turns/turn';

type Results = readonly Record<string, OrtTensor>[];

/** Writes the outputs of one row, and charges them. */
export function emitChunk(
  sequence: RecurrentSequence,
  turn: RecurrentTurn,
  row: number,
  prepared: readonly PreparedGraph[],
  results: Results,
  out: StepWriter,
): void {
  out.beginChunk(sequence.id, turn.number);
  try {
    for (let index = 0; index < prepared.length; index += 1)
      for (const emit of (prepared[index] as PreparedGraph).emits)
        writeOutput(emit, row, results[index], out);
  } catch (error) {
    out.dropChunk();
    throw error;
  }
  charge(sequence, turn, out.endChunk());
}

function writeOutput(
  emit: Emit,
  row: number,
  results: Record<string, OrtTensor> | undefined,
  out: StepWriter,
): void {
  const { batch, prefix } = emit;
  if (batch?.views !== undefined) {
    out.tensor(prefix, batch.bytes, row * batch.rowBytes, (row + 1) * batch.rowBytes);
    return;
  }
  if (batch !== undefined) {
    const copy = allocate(batch.dtype, batch.rowLength);
    batch.readRow(row, copy);
    out.tensor(prefix, bytesOf(copy), 0, copy.byteLength);
    return;
  }
  const tensor = results?.[emit.output.name];
  if (tensor === undefined) throw new CabstandError('INTERNAL', `no output ${emit.output.name}`);
  const values = rowOf(tensor, row, emit.output.batchAxis);
  const shape = tensor.dims.map((size, axis) => (axis === emit.output.batchAxis ? 1 : size));
  const bytes = bytesOf(values);
  out.tensor(
    tensorPrefix(emit.name, emit.output.dtype, shape, bytes.length),
    bytes,
    0,
    bytes.length,
  );
}

/** One row of a tensor whose shape only the run told. */
function rowOf(tensor: OrtTensor, row: number, batchAxis: number | null): NumericArray {
  const data = tensor.data as NumericArray;
  if (batchAxis === null) return data;
  const rows = tensor.dims[batchAxis] ?? 1;
  if (row >= rows)
    throw new CabstandError(
      'MODEL_FAILED',
      `an output has ${rows} rows at axis ${batchAxis}, row ${row} is wanted`,
    );
  const outer = elementCount(tensor.dims.slice(0, batchAxis));
  const inner = data.length / (outer * rows);
  if (outer === 1) return data.subarray(row * inner, (row + 1) * inner);
  const copy = allocate(tensor.type as DType, outer * inner);
  for (let block = 0; block < outer; block += 1)
    (copy as Float32Array).set(
      data.subarray((block * rows + row) * inner, (block * rows + row + 1) * inner) as Float32Array,
      block * inner,
    );
  return copy;
}

const TOKEN_PREFIX = tensorPrefix('token', 'int64', [1], DTYPES.int64.bytes);
const token = new BigInt64Array(1);
const tokenBytes = new Uint8Array(token.buffer);

/** Chooses the next token of a row and writes its record. True where the turn is over. */
export function emitToken(
  manifest: Manifest,
  sequence: RecurrentSequence,
  turn: RecurrentTurn,
  row: number,
  prepared: readonly PreparedGraph[],
  results: Results,
  out: StepWriter,
): boolean {
  const { scores, offset, count } = scoresOf(prepared, results, row, sequence);
  const chosen = chooseToken(scores, offset, count, turn.sampling, turn.tokens);
  turn.token = chosen;
  const stop = manifest.generation?.stop.includes(chosen) === true && !turn.ignoreStop;
  if (stop) return true;
  out.beginChunk(sequence.id, turn.number);
  token[0] = BigInt(chosen);
  out.tensor(TOKEN_PREFIX, tokenBytes, 0, tokenBytes.length);
  out.text(decodeToken(chosen, turn.tokens === 0, manifest.text.output));
  charge(sequence, turn, out.endChunk());
  turn.tokens += 1;
  return turn.tokens >= turn.maxTokens;
}

/** Scores of the last position of a row: [batch, vocabulary] or [batch, 1, vocabulary]. */
function scoresOf(
  prepared: readonly PreparedGraph[],
  results: Results,
  row: number,
  sequence: RecurrentSequence,
): { scores: Float32Array; offset: number; count: number } {
  const index = prepared.findIndex(({ logits }) => logits !== undefined);
  const logits = prepared[index]?.logits;
  const tensor = logits && results[index]?.[logits.name];
  const count = tensor?.dims.at(-1);
  if (tensor === undefined || count === undefined)
    throw new CabstandError('INTERNAL', `no scores for sequence ${sequence.id}`);
  const scores = tensor.data as Float32Array;
  const rowLength = scores.length / (tensor.dims[0] ?? 1);
  return { scores, offset: (row + 1) * rowLength - count, count };
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
