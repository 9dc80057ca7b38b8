/** Shapes of example inputs: every free dimension gets one size, wherever it stands. */
import { DTYPES, elementCount } from '@cabstand/tensor';
import type { InputSpec, ModelSignature } from '../manifest/signature';
import { LONGEST_TEXT } from './values';

export interface ShapeOptions {
  /** Sizes of free dimensions by name; they are kept whatever the limits say. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Rows where the inputs hold rows. */
  readonly rows: number;
  /** Free dimensions without a given size are divided by this, down to 1. */
  readonly shrink: number;
}

/** Steps that framed input makes, at least. */
const STEPS = 4;

/** Names of dimensions that mostly hold a batch of one, and of those that hold pixels. */
const BATCH = /^(n|b|bs|batch.*|.*batch_?size|unk__\d+)$/i;
const PIXELS = /height|width|^h$|^w$/i;

/** The shape of every input, in order. */
export function exampleShapes(signature: ModelSignature, options: ShapeOptions): number[][] {
  const known = new Map<string, number>(
    Object.entries(options.sizes).map(([name, size]) => [name, size]),
  );
  const shared = sharedSizes(signature, options, known);
  return signature.inputs.map((input) =>
    input.shape.map((size, axis) => {
      if (typeof size === 'number') return size;
      return shared.get(`${input.name}:${axis}`) ?? known.get(size) ?? usual(size, options.shrink);
    }),
  );
}

/** Bytes of the largest of these. */
export function largestBytes(
  inputs: readonly InputSpec[],
  shapes: readonly (readonly number[])[],
): number {
  return Math.max(
    0,
    ...inputs.map(
      ({ dtype }, index) =>
        elementCount(shapes[index] ?? []) *
        (dtype === 'string' ? LONGEST_TEXT : DTYPES[dtype].bytes),
    ),
  );
}

/** Sizes of axes that hang together beyond their names; their names get them too. */
function sharedSizes(
  { inputs, rows, framed }: ModelSignature,
  { rows: rowCount, shrink }: ShapeOptions,
  known: Map<string, number>,
): Map<string, number> {
  const byAxis = new Map<string, number>();
  const nameOf = (input: string, axis: number): string | undefined => {
    const size = inputs.find(({ name }) => name === input)?.shape[axis];
    return typeof size === 'string' ? size : undefined;
  };
  const give = (input: string, axis: number, size: number): void => {
    const name = nameOf(input, axis);
    byAxis.set(`${input}:${axis}`, size);
    if (name !== undefined && !known.has(name)) known.set(name, size);
  };
  const given = rows
    .map(({ input, axis }) => known.get(nameOf(input, axis) ?? ''))
    .find((size) => size !== undefined);
  for (const { input, axis } of rows) give(input, axis, given ?? Math.max(1, rowCount));
  // Inputs framed in step bring as many hops each.
  const [first] = framed;
  if (first === undefined) return giveImages(inputs, give, byAxis);
  const most = Math.max(...framed.map(({ frame, hop }) => Math.ceil(frame / hop))) + STEPS - 1;
  const length = known.get(nameOf(first.input, first.axis) ?? '');
  const hops = length === undefined ? reduced(most, shrink) : length / first.hop;
  for (const { input, axis, hop } of framed) give(input, axis, Math.round(hops * hop));
  return giveImages(inputs, give, byAxis);
}

function giveImages(
  inputs: readonly InputSpec[],
  give: (input: string, axis: number, size: number) => void,
  byAxis: Map<string, number>,
): Map<string, number> {
  for (const { name, shape, media } of inputs) {
    if (media?.kind !== 'image') continue;
    const height = shape.length - (media.layout === 'nchw' ? 2 : 3);
    if (height < 0) continue;
    give(name, height, media.height);
    give(name, height + 1, media.width);
  }
  return byAxis;
}

function usual(name: string, shrink: number): number {
  if (BATCH.test(name)) return 1;
  return reduced(PIXELS.test(name) ? 64 : 8, shrink);
}

function reduced(size: number, shrink: number): number {
  return Math.max(1, Math.floor(size / shrink));
}
