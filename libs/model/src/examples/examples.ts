/** Inputs that a model takes, made from its signature alone. */
import { invalid } from '@cabstand/core';
import { isSize } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { oneOf } from '../manifest/problems';
import type { ModelSignature } from '../manifest/signature';
import { examplePrompt } from './prompt';
import { exampleShapes, largestBytes } from './shapes';
import { STYLES, exampleTensor } from './values';

export interface ExampleOptions {
  /** The same seed makes the same examples. Default 0. */
  readonly seed?: number;
  /** How many turns; default one of each style. */
  readonly count?: number;
  /** Sizes of free dimensions by name; others are small. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Rows of a turn where inputs hold rows; default 1, 2, 3, 1, … */
  readonly rows?: number;
}

export interface TurnExample {
  readonly prompt: string;
  readonly parameters: Record<string, unknown>;
  readonly inputs: Tensor[];
  /** What the values are like: noise, zeros, ones, digits, fractions. */
  readonly style: string;
}

/**
 * Turns that `validateTurnInput` takes, the most plausible first. Free dimensions of one name have one
 * size in all inputs; framed input makes four steps or more, unless the limits leave room for fewer.
 * Empty where no input can be valid: a range without a number of the dtype, or fixed sizes beyond the limits.
 *
 * @throws CabstandError LIMIT_EXCEEDED when `sizes` make an input larger than limits.maxInputBytes,
 *   INVALID_ARGUMENT when they name what is no free dimension, or are no sizes.
 */
export function exampleTurns(
  signature: ModelSignature,
  options: ExampleOptions = {},
): TurnExample[] {
  const { seed = 0, count = STYLES.length, sizes = {} } = options;
  checkSizes(signature, sizes);
  const turns: TurnExample[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const example = exampleTurn(signature, options, turn, seed * 7919 + turn);
    if (example !== undefined) turns.push(example);
  }
  return turns;
}

function checkSizes({ inputs }: ModelSignature, sizes: Readonly<Record<string, number>>): void {
  const free = inputs.flatMap(({ shape }) => shape.filter((size) => typeof size === 'string'));
  for (const [name, size] of Object.entries(sizes)) {
    if (!free.includes(name))
      throw invalid('INVALID_ARGUMENT', 'size', name, oneOf(name, [...new Set(free)]));
    if (!isSize(size)) throw invalid('INVALID_ARGUMENT', `size ${name}`, size, 'a whole number');
  }
}

function exampleTurn(
  signature: ModelSignature,
  options: ExampleOptions,
  turn: number,
  seed: number,
): TurnExample | undefined {
  const style = STYLES[turn % STYLES.length] ?? 'noise';
  const prompt = examplePrompt(signature, seed);
  if (signature.takesPrompt && prompt === undefined && !hasText(signature)) return undefined;
  const shapes = fittingShapes(signature, options, options.rows ?? 1 + (turn % 3));
  if (shapes === undefined) return undefined;
  const inputs: Tensor[] = [];
  for (const [index, input] of signature.inputs.entries()) {
    if (prompt !== undefined && input.media?.kind === 'text') continue;
    const tensor = exampleTensor(input, shapes[index] ?? [], style, seed * 31 + index);
    if (tensor === undefined) return undefined;
    inputs.push(tensor);
  }
  return { prompt: prompt ?? '', parameters: {}, inputs, style };
}

function hasText({ inputs }: ModelSignature): boolean {
  return inputs.some(({ media }) => media?.kind === 'text');
}

/** Shapes within the limits: free dimensions shrink until all fits, and rows last. */
function fittingShapes(
  signature: ModelSignature,
  { sizes = {} }: ExampleOptions,
  rows: number,
): number[][] | undefined {
  const { maxInputBytes } = signature.limits;
  let shapes: number[][] = [];
  for (const [shrink, count] of [
    [1, rows],
    [8, rows],
    [64, rows],
    [2 ** 31, 1],
  ] as const) {
    shapes = exampleShapes(signature, { sizes, rows: count, shrink });
    if (largestBytes(signature.inputs, shapes) <= maxInputBytes && tokensFit(signature, shapes))
      return shapes;
  }
  if (Object.keys(sizes).length === 0) return undefined;
  throw invalid('LIMIT_EXCEEDED', 'sizes', shapes, `inputs of at most ${maxInputBytes} bytes`);
}

/** Token ids of a generator are limited by number. */
function tokensFit(signature: ModelSignature, shapes: readonly (readonly number[])[]): boolean {
  return signature.inputs.every(
    ({ media }, index) =>
      media?.kind !== 'text' ||
      (shapes[index] ?? []).reduce((product, size) => product * size, 1) <=
        signature.limits.maxSequenceLength,
  );
}
