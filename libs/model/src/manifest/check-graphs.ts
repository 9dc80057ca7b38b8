/** The manifest against what the ONNX files say: sizes of public inputs, and names of dimensions. */
import type { FoundGraph } from '../infer/fill';
import { KINDS } from './kinds';
import { oneOf } from './problems';
import type { Report } from './problems';
import type { GraphInput } from './program';
import type { FilledManifest } from './schema';
import type { Manifest } from './types';

/** Reports fixed sizes that callers and graphs do not agree on. Ranks and dtypes the engine compares. */
export function checkSizes(
  manifest: Manifest,
  graphs: ReadonlyMap<string, FoundGraph>,
  report: Report,
): void {
  for (const { name, inputs } of manifest.graphs)
    for (const bound of inputs) {
      const value = graphs.get(name)?.summary?.inputs.find((one) => one.name === bound.name);
      if (value?.dims !== undefined) checkInput(manifest, bound, value.dims, report);
    }
}

function checkInput(
  manifest: Manifest,
  { name, source, batchAxis }: GraphInput,
  dims: readonly (number | string | undefined)[],
  report: Report,
): void {
  if (source.from !== 'input' && source.from !== 'frame') return;
  const input = manifest.inputs.find((one) => one.name === source.input);
  // Callers of models with state send no axis for sessions.
  const own = KINDS[manifest.kind].oneGraph ? dims : dims.filter((_, axis) => axis !== batchAxis);
  if (input === undefined || own.length !== input.shape.length) return;
  const framed =
    source.from === 'frame'
      ? manifest.framed.find((one) => one.input === source.input)?.axis
      : undefined;
  const differs = own.some((size, axis) => {
    const fixed = typeof size === 'string' ? manifest.dims[size] : size;
    const said = input.shape[axis];
    // What callers send along the framed axis is cut.
    return axis !== framed && fixed !== undefined && typeof said === 'number' && said !== fixed;
  });
  if (!differs) return;
  const shown = dims.map((size) =>
    typeof size === 'string' ? (manifest.dims[size] ?? size) : (size ?? '?'),
  );
  report(
    `inputs.${input.name}.shape`,
    input.shape,
    `the sizes that graph input ${name} has: [${shown.join(', ')}]`,
  );
}

/** Reports sizes that the manifest gives to dimensions which neither a graph nor a caller has. */
export function checkDims(
  { dims, inputs }: FilledManifest,
  graphs: ReadonlyMap<string, FoundGraph>,
  report: Report,
): void {
  const sizes = [
    ...[...graphs.values()].flatMap(({ summary }) =>
      (summary?.inputs ?? []).flatMap((value) => value.dims ?? []),
    ),
    ...Object.values(inputs).flatMap(({ shape }) => shape),
  ];
  const known = [...new Set(sizes.filter((size) => typeof size === 'string'))];
  for (const [name, size] of Object.entries(dims))
    if (!known.includes(name))
      report(`dims.${name}`, size, `a free dimension of an input: ${oneOf(name, known)}`);
}
