import { invalid } from '@cabstand/core';
import { float32Of } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { EndReason, Generation, RecordEvent } from '../protocol/events';

/** The output of one model step. */
export class Chunk {
  /** Number of the chunk in its turn: 0, 1, 2 … */
  readonly index: number;
  /**
   * Number of the record in its session, over all turns. Parts of live input and the ends of turns are
   * records, too: what goes on elsewhere and what is logged names positions; to count, use `index`.
   */
  readonly position: number;
  /** The turn it belongs to, from 0. */
  readonly turn: number;
  /** Text of this step; empty where the model gives none, or only half a character so far. */
  readonly text: string;
  readonly tensors: readonly Tensor[];

  constructor(record: Extract<RecordEvent, { body: 'chunk' }>, index: number) {
    this.index = index;
    this.position = record.position;
    this.turn = record.turn;
    this.text = record.text;
    this.tensors = record.tensors;
  }

  /** The output of that name. Throws INVALID_ARGUMENT, naming the outputs there are. */
  tensor(name: string): Tensor {
    for (const tensor of this.tensors) if (tensor.name === name) return tensor;
    throw invalid(
      'INVALID_ARGUMENT',
      'output',
      name,
      this.tensors.map((tensor) => tensor.name).join(', ') || 'text only: there are no tensors',
    );
  }

  /** The numbers of a float32 output. Throws INVALID_ARGUMENT for an output that there is not, or of another dtype. */
  float32(name: string): Float32Array {
    const tensor = this.tensor(name);
    if (tensor.dtype !== 'float32')
      throw invalid(
        'INVALID_ARGUMENT',
        `output ${name}`,
        tensor.dtype,
        'float32: numbersOf(chunk.tensor(…)) gives the numbers of any dtype',
      );
    return float32Of(tensor);
  }

  has(name: string): boolean {
    return this.tensors.some((tensor) => tensor.name === name);
  }
}

/** How a turn ended. */
export interface TurnResult {
  readonly turn: number;
  /** `completed`, `stopped` and `cancelled` are orderly; other reasons come with an error. */
  readonly reason: EndReason;
  /** Model steps computed. */
  readonly steps: number;
  /** Chunks that came, those that another process had before included. */
  readonly chunks: number;
  /** Why a turn in good order computed nothing: its input was shorter than one frame, say. */
  readonly note?: string;
  /** Language models, and models of texts, only: these tell `prompt` alone. */
  readonly generation?: Generation;
}
