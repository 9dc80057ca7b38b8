/** One graph for all rows of a step: inputs in, outputs and state out. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { NumericArray } from '@cabstand/tensor';
import { allocate } from '../graphs/batch-tensor';
import type { PreparedGraph } from '../graphs/buffers';
import type { JointRun, Rows, RunTap } from '../graphs/joint-run';
import type { Layout } from '../state/row-store';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import type { RecurrentTurn } from '../turns/turn';

/**
 * Runs a graph, and moves the states that it writes on. Throws what ONNX Runtime throws, or MODEL_FAILED
 * for outputs that do not have what they should; states that it moved on are the caller's to take back.
 */
export async function runGraph(
  prepared: PreparedGraph,
  layout: Layout,
  rows: readonly RecurrentSequence[],
  tap: RunTap | undefined,
): Promise<void> {
  const { feeds, fetches, graph, reads, replaces, appends, emits, logits } = prepared;
  fillRows(prepared, rows);
  for (const { name, state } of reads) feeds[name] = layout.stateTensor(state, 0).tensor;
  for (const { name, state } of replaces) fetches[name] = layout.stateTensor(state, 1).tensor;
  const results = await graph.session.run(feeds, fetches);
  if (rows.length > 1)
    tap?.({
      graph: graph.bound,
      session: graph.session,
      feeds,
      results,
      callers: callersOf(rows.length),
    });
  for (const output of emits) output.take(resultOf(results, output.output.name), rows.length);
  logits?.take(resultOf(results, logits.output.name), rows.length);
  for (const { state } of replaces) layout.advance(state);
  for (const { name, state, axis } of appends) {
    const [from, to] = [layout.stateTensor(state, 0), layout.stateTensor(state, 1)];
    layout.memory.append(from, to, axis, resultOf(results, name));
    layout.advance(state);
  }
}

function resultOf(results: JointRun['results'], name: string): OrtTensor {
  const tensor = results[name];
  if (tensor === undefined) throw new CabstandError('INTERNAL', `no output ${name}`);
  return tensor;
}

function fillRows({ rowInputs }: PreparedGraph, rows: readonly RecurrentSequence[]): void {
  for (const { input, batch, framed } of rowInputs) {
    const { source } = input;
    for (let row = 0; row < rows.length; row += 1) {
      const sequence = rows[row] as RecurrentSequence;
      const turn = sequence.turn as RecurrentTurn;
      switch (source.from) {
        case 'frame': {
          const view = batch.views?.[row];
          const target = view ?? allocate(input.dtype, batch.rowLength);
          sequence.source.cutters[framed]?.fill(target);
          if (view === undefined) batch.writeRow(row, target);
          break;
        }
        case 'token':
          writeId(batch.array, row, turn.token);
          break;
        case 'item':
          writeId(batch.array, row, turn.items[turn.item] ?? 0);
          break;
        default: {
          const values = turn.set?.rows.get(input);
          // What is in the buffer is another caller's.
          if (values === undefined)
            throw new CabstandError('INPUT_MISSING', `nothing for input ${input.name}`);
          batch.writeRow(row, values);
        }
      }
    }
  }
}

function writeId(array: NumericArray, row: number, id: number): void {
  if (array instanceof BigInt64Array) array[row] = BigInt(id);
  else array[row] = id;
}

const callers = new Map<number, readonly Rows[]>();

/** One row each. */
function callersOf(rows: number): readonly Rows[] {
  let known = callers.get(rows);
  if (known === undefined) {
    known = Array.from({ length: rows }, (_, from) => ({ from, count: 1 }));
    callers.set(rows, known);
  }
  return known;
}
