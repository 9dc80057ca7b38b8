/** Runs the graph of a model that takes texts: rows of tokens in, a vector or scores of each out. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { TextModelProgram } from '@cabstand/model';
import { float16Numbers } from '@cabstand/tensor';
import type { CalledBy, GraphSession } from '../../graphs/graph-session';
import { applyHead } from './head';

export class TextGraph {
  readonly program: TextModelProgram;
  readonly #session: GraphSession;

  constructor(session: GraphSession, program: TextModelProgram) {
    this.#session = session;
    this.program = program;
  }

  get calledBy(): CalledBy {
    return this.#session.calledBy;
  }

  /**
   * All rows in one run, filled up to the longest: masks keep what fills them up out of the answers.
   *
   * @param rows ids of tokens: one row at least, and one token in each
   * @throws CabstandError MODEL_FAILED where the graph gives something else than was announced.
   */
  async run(rows: readonly (readonly number[])[]): Promise<Float32Array[]> {
    const { takesTypes, output, head } = this.program;
    const longest = rows.reduce((most, { length }) => Math.max(most, length), 0);
    const feeds: Record<string, OrtTensor> = {
      input_ids: this.#ids(rows, longest, (row, at) => row[at] ?? this.program.padToken),
      attention_mask: this.#ids(rows, longest, (row, at) => (at < row.length ? 1 : 0)),
    };
    if (takesTypes) feeds['token_type_ids'] = this.#ids(rows, longest, () => 0);
    const results = await this.#session.run(feeds, [output.name]);
    const tensor = results[output.name];
    const perToken = head.to === 'embedding' && head.pooling !== 'none';
    const expected = perToken ? [rows.length, longest] : [rows.length];
    const dims = tensor?.dims ?? [];
    const width = dims.at(-1) ?? 0;
    const fits =
      dims.length === expected.length + 1 && expected.every((size, axis) => size === dims[axis]);
    if (tensor === undefined || !fits || (head.to === 'scores' && width !== head.count))
      throw new CabstandError(
        'MODEL_FAILED',
        `output ${output.name} has shape [${dims.join(', ')}], expected [${expected.join(', ')}, ${head.to === 'scores' ? head.count : 'size'}]`,
      );
    const size = width * (perToken ? longest : 1);
    return rows.map(({ length: tokens }, row) => {
      const part = tensor.data.slice(row * size, (row + 1) * size);
      const values = output.dtype === 'float16' ? numbersOf(part as Uint16Array) : part;
      return applyHead(head, { values: values as Float32Array, tokens, width });
    });
  }

  #ids(
    rows: readonly (readonly number[])[],
    longest: number,
    valueAt: (row: readonly number[], at: number) => number,
  ): OrtTensor {
    const dims = [rows.length, longest];
    const flat = rows.flatMap((row) =>
      Array.from({ length: longest }, (_, at) => valueAt(row, at)),
    );
    return this.program.idDtype === 'int32'
      ? new OrtTensor('int32', Int32Array.from(flat), dims)
      : new OrtTensor('int64', BigInt64Array.from(flat, BigInt), dims);
  }
}

function numbersOf(bits: Uint16Array): Float32Array {
  return Float32Array.from(float16Numbers(bits));
}
