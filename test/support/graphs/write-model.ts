/** Puts a random graph into a folder as a model: with a manifest, or as nothing but its file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Random } from '../../faults/random';
import type { AnyGraph } from './any-graph';
import { rowAxis } from './graph-builder';

/** What callers are told of it. */
export type Written = 'whole manifest' | 'manifest without outputs' | 'no manifest';

/** Writes `folder/1/model.onnx`, and for most graphs `folder/model.yaml`. None has golden data. */
export function writeModel(folder: string, graph: AnyGraph): Written {
  mkdirSync(path.join(folder, '1'), { recursive: true });
  writeFileSync(path.join(folder, '1/model.onnx'), graph.file);
  const random = new Random(graph.seed ^ 0xf01d);
  const written = random.weighted<Written>({
    'whole manifest': 5,
    'manifest without outputs': 2,
    'no manifest': 3,
  });
  if (written === 'no manifest') return written;
  const outputs = graph.outputs.map((output) => {
    // An axis that is declared is not believed: what follows the rows is found out.
    const axis = random.next() < 0.8 ? rowAxis(output) : 0;
    return [output.name, { emit: publicName(output.name), batch_axis: axis ?? null }] as const;
  });
  const manifest = {
    name: path.basename(folder),
    kind: 'stateless',
    graphs: {
      main: {
        file: 'model.onnx',
        inputs: Object.fromEntries(
          graph.inputs.map((input) => [
            input.name,
            { from: 'input', input: publicName(input.name), batch_axis: rowAxis(input) ?? null },
          ]),
        ),
        ...(written === 'whole manifest' && { outputs: Object.fromEntries(outputs) }),
      },
    },
    inputs: Object.fromEntries(
      graph.inputs.map(({ name, dtype, dims, most }) => [
        publicName(name),
        { dtype, shape: dims, ...rangeOf(most) },
      ]),
    ),
  };
  // JSON is YAML.
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify(manifest, undefined, 1));
  return written;
}

/** In manifests of these tests; files without one have theirs found. */
function publicName(name: string): string {
  return `p_${name.replace(/\W/g, '_')}`;
}

function rangeOf(most: number | 'rows of the turn' | undefined): object {
  if (most === undefined) return {};
  return { minimum: 0, maximum: most === 'rows of the turn' ? 0 : most };
}
