/** What becomes of the numbers that a graph gives for texts: a vector or scores for each. */
import type { TextHead } from '@cabstand/model';

/** Numbers of one text; with `pooling`, a vector for each of its tokens. */
export interface TextNumbers {
  readonly values: Float32Array;
  /** Tokens that are the text's: further ones fill the row up. */
  readonly tokens: number;
  /** Numbers of a vector. */
  readonly width: number;
}

/** A vector of length 0 stays one. */
const LEAST_NORM = 1e-12;

/** As sentence-transformers and the pipelines of transformers compute it. */
export function applyHead(head: TextHead, numbers: TextNumbers): Float32Array {
  if (head.to === 'scores') return activated(numbers.values, head.activation);
  const pooled = pool(head.pooling, numbers);
  return head.normalize ? normalized(pooled) : pooled;
}

function pool(
  pooling: Extract<TextHead, { to: 'embedding' }>['pooling'],
  { values, tokens, width }: TextNumbers,
): Float32Array {
  if (pooling === 'none' || pooling === 'cls') return values.slice(0, width);
  const pooled = new Float64Array(width).fill(pooling === 'max' ? -Infinity : 0);
  for (let token = 0; token < tokens; token += 1)
    for (let at = 0; at < width; at += 1) {
      const value = values[token * width + at] as number;
      const before = pooled[at] as number;
      pooled[at] = pooling === 'max' ? Math.max(before, value) : before + value / tokens;
    }
  return Float32Array.from(pooled);
}

function normalized(vector: Float32Array): Float32Array {
  const square = vector.reduce((sum, value) => sum + value * value, 0);
  const norm = Math.max(Math.sqrt(square), LEAST_NORM);
  return vector.map((value) => value / norm);
}

function activated(
  logits: Float32Array,
  activation: Extract<TextHead, { to: 'scores' }>['activation'],
): Float32Array {
  if (activation === 'none') return logits;
  if (activation === 'sigmoid') return logits.map((value) => 1 / (1 + Math.exp(-value)));
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const weights = Float64Array.from(logits, (value) => Math.exp(value - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}
