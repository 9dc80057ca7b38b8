/** Vectors of texts, in the words of OpenAI. */
import { CabstandError, invalid } from '@cabstand/core';
import { float32Of, stringTensor } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { z } from 'zod';
import type { ModelFacts } from '../serving';
import { parse } from './ask';
import type { CompletionContext } from './completions';
import { parametersFor, turnParameters } from './parameters';

/** Texts of one request, as OpenAI has it. */
const MOST_TEXTS = 2048;
const TEXTS = `a text, or a list of 1 to ${MOST_TEXTS} texts; ids of tokens are not taken: the model finds them`;

const schema = z.looseObject({
  model: z.string().min(1).max(256),
  input: z.union([z.string(), z.array(z.string()).min(1).max(MOST_TEXTS)], { error: TEXTS }),
  encoding_format: z.enum(['float', 'base64']).default('float'),
});

export interface EmbeddingsAsk {
  readonly model: string;
  readonly texts: readonly string[];
  readonly format: 'float' | 'base64';
  /** Of the turn, by the names that models have for them. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** @throws CabstandError INVALID_ARGUMENT that names the field. */
export function parseEmbeddings(body: unknown): EmbeddingsAsk {
  const { model, input, encoding_format: format, ...more } = parse(schema, body);
  const texts = typeof input === 'string' ? [input] : input;
  return { model, texts, format, parameters: turnParameters(more) };
}

/**
 * A vector for each text, in their order, by one turn in a session of its own.
 *
 * @throws CabstandError INVALID_ARGUMENT for a model that makes no embeddings, PARAMETER_INVALID for a parameter that
 * it does not have, and what the turn failed with.
 */
export async function embeddings(
  { model: name, texts, format, parameters }: EmbeddingsAsk,
  { serving, caller, signal }: Pick<CompletionContext, 'serving' | 'caller' | 'signal'>,
): Promise<object> {
  const model = await serving.model(name, undefined, caller, signal);
  if (!makesEmbeddings(model))
    throw invalid(
      'INVALID_ARGUMENT',
      'model',
      name,
      'a model that makes an embedding of each text',
    );
  const tensors = [stringTensor(model.inputs[0]?.name ?? '', texts)];
  const input = { prompt: '', tensors, parameters: parametersFor(model, parameters) };
  let rows: Float32Array[] | undefined;
  for await (const record of serving.runTurn({ caller, model: name, input }, signal)) {
    if (record.kind === 'chunk') rows = rowsOf(record.tensors, texts.length);
    if (record.kind !== 'end') continue;
    const { reason, error, generation } = record;
    if (error !== undefined) throw error;
    if (reason !== 'completed')
      throw new CabstandError('CANCELLED', `the turn was ${reason.replace('_', ' ')}`);
    if (rows === undefined) break;
    return {
      object: 'list',
      data: rows.map((row, index) => ({
        ...{ object: 'embedding', index, embedding: written(row, format) },
      })),
      model: model.name,
      usage: usageJson(generation?.prompt),
    };
  }
  throw noVectors(name, texts.length);
}

/** Whether the model takes nothing but texts, and makes nothing but one `embedding` of each. */
export function makesEmbeddings({ kind, inputs, outputs }: ModelFacts): boolean {
  return (
    kind === 'stateless' &&
    inputs.length === 1 &&
    inputs[0]?.dtype === 'string' &&
    outputs.length === 1 &&
    outputs[0]?.name === 'embedding'
  );
}

function rowsOf(tensors: readonly Tensor[], texts: number): Float32Array[] | undefined {
  const tensor = tensors.find(({ name }) => name === 'embedding');
  if (tensor?.shape.length !== 2 || tensor.shape[0] !== texts) return undefined;
  const values = float32Of(tensor);
  const size = values.length / texts;
  return Array.from({ length: texts }, (_, row) => values.slice(row * size, (row + 1) * size));
}

function noVectors(model: string, texts: number): CabstandError {
  const expected = `embedding: float32 [${texts}, size]`;
  return new CabstandError('INTERNAL', `model ${model} answered without ${expected}`);
}

/** `base64` is of the bytes of the numbers, little-endian. */
function written(row: Float32Array, format: EmbeddingsAsk['format']): number[] | string {
  return format === 'float' ? [...row] : Buffer.from(row.buffer).toString('base64');
}

/** Null where the model does not tell how many tokens the texts have. */
function usageJson(tokens: number | undefined): object | null {
  return tokens === undefined ? null : { prompt_tokens: tokens, total_tokens: tokens };
}
