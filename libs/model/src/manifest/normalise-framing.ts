/** Inputs that are cut into frames. */
import { oneOf } from './problems';
import type { Report } from './problems';
import type { GraphInput, GraphSpec } from './program';
import type { FilledManifest } from './schema';
import type { FramedInput, InputSpec } from './signature';

/**
 * Framed inputs in the order of the manifest. An input whose shape names the framed dimension of
 * another is as long as that one: it is framed with it, in the same way.
 */
export function framedInputs(written: FilledManifest, report: Report): FramedInput[] {
  const sections = written.framing === undefined ? [] : [written.framing].flat();
  const framed: FramedInput[] = [];
  sections.forEach((section, index) => {
    const key = Array.isArray(written.framing) ? `framing.${index}` : 'framing';
    const named = [section.input].flat();
    for (const input of [...named, ...inputsLike(named, section.axis, written)]) {
      const spec = written.inputs[input];
      if (spec === undefined) {
        report(`${key}.input`, input, oneOf(input, Object.keys(written.inputs)));
        continue;
      }
      if (framed.some((one) => one.input === input)) {
        report(`${key}.input`, input, 'an input that is not framed already');
        continue;
      }
      const axis = named.includes(input)
        ? section.axis
        : spec.shape.indexOf(dimensionOf(named[0] ?? '', section.axis, written) ?? '');
      framed.push({
        input,
        axis,
        frame: section.frame,
        hop: section.hop ?? section.frame,
        carry: section.carry,
        carryValue: section.carry_value,
        remainder: section.remainder,
        formats: section.formats,
      });
    }
  });
  return framed;
}

function dimensionOf(input: string, axis: number, written: FilledManifest): string | undefined {
  const size = written.inputs[input]?.shape[axis];
  return typeof size === 'string' ? size : undefined;
}

function inputsLike(named: readonly string[], axis: number, written: FilledManifest): string[] {
  const dimension = dimensionOf(named[0] ?? '', axis, written);
  if (dimension === undefined) return [];
  return Object.entries(written.inputs)
    .filter(([name, { shape }]) => !named.includes(name) && shape.includes(dimension))
    .map(([name]) => name);
}

/**
 * Inputs that are framed become frames. A `frame` source that names no input is the framed input of the
 * graph input's name, or the only one that no other takes.
 */
export function bindFrames(
  graphs: readonly GraphSpec[],
  framed: readonly FramedInput[],
  report: Report,
): GraphSpec[] {
  const names = framed.map(({ input }) => input);
  const taken = new Set(
    graphs.flatMap((graph) =>
      graph.inputs.flatMap(({ name, source }) => {
        if (source.from === 'input') return [source.input];
        return source.from === 'frame' ? [source.input === '' ? name : source.input] : [];
      }),
    ),
  );
  const left = names.filter((name) => !taken.has(name));
  const only = names.length === 1 ? names[0] : left.length === 1 ? left[0] : undefined;
  const bind = (graph: GraphSpec, input: GraphInput): GraphInput => {
    const { source } = input;
    if (source.from === 'input' && names.includes(source.input))
      return { ...input, source: { from: 'frame', input: source.input } };
    if (source.from !== 'frame') return input;
    const key = `graphs.${graph.name}.inputs.${input.name}`;
    if (framed.length === 0) report(`${key}.from`, 'frame', 'a framing section, or another source');
    else if (source.input !== '' && !names.includes(source.input))
      report(`${key}.input`, source.input, `a framed input: ${oneOf(source.input, names)}`);
    if (source.input !== '') return input;
    const found = names.includes(input.name) ? input.name : only;
    if (found === undefined && framed.length > 0)
      report(`${key}.input`, undefined, `which framed input it is: ${names.join(', ')}`);
    return { ...input, source: { from: 'frame', input: found ?? '' } };
  };
  return graphs.map((graph) => ({
    ...graph,
    inputs: graph.inputs.map((input) => bind(graph, input)),
  }));
}

/** int16 samples are taken for float32 ones where the framing says so. */
export function formatsOf(name: string, framed: readonly FramedInput[]): FramedInput['formats'] {
  return framed.find(({ input }) => input === name)?.formats ?? [];
}

/** What must hang together within the framing. */
export function checkFraming(
  framed: readonly FramedInput[],
  inputs: readonly InputSpec[],
  graphs: readonly GraphSpec[],
  report: Report,
): void {
  const taken = new Set(
    graphs.flatMap((graph) =>
      graph.inputs.flatMap(({ source }) => (source.from === 'frame' ? [source.input] : [])),
    ),
  );
  const [first] = framed;
  for (const one of framed) {
    const input = inputs.find(({ name }) => name === one.input);
    if (input === undefined) continue;
    if (one.axis >= input.shape.length) {
      report(
        'framing.axis',
        one.axis,
        `less than the rank of ${input.name}, ${input.shape.length}`,
      );
      continue;
    }
    input.shape.forEach((size, axis) => {
      const key = `inputs.${input.name}.shape.${axis}`;
      if (axis === one.axis && typeof size === 'number')
        report(key, size, 'a name: the framed axis is of any length');
      if (axis !== one.axis && typeof size === 'string')
        report(key, size, 'a number: only the framed axis is free');
    });
    if (input.dtype === 'string') report('framing.input', input.dtype, 'an input of numbers');
    if (one.hop > one.frame) report('framing.hop', one.hop, `at most the frame, ${one.frame}`);
    if (one.formats.includes('int16') && input.dtype !== 'float32')
      report('framing.formats', one.formats, 'float32 input where int16 is taken too');
    if (one.remainder !== first?.remainder)
      report('framing.remainder', one.remainder, `${first?.remainder}, as of the other inputs`);
    if (!taken.has(one.input))
      report('framing.input', one.input, 'a graph input with from: frame that takes it');
  }
}
