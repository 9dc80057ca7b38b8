/** What each kind of model may and must have. */
import type { Fail } from './problems';
import type { Manifest, Source } from './types';

export function checkKind(manifest: Manifest, fail: Fail): void {
  const { kind } = manifest;
  const perStep = manifest.graphs.filter(({ run }) => run === 'per-step');
  if (perStep.length === 0) fail('graphs', kind, 'a graph that runs per-step');
  if (kind !== 'generator') {
    if (manifest.generation !== undefined) fail('generation', kind, 'kind generator');
    if (manifest.text.input !== undefined) fail('text.input', kind, 'kind generator');
    if (manifest.text.output !== undefined) fail('text.output', kind, 'kind generator');
    if (manifest.outputs.length === 0) fail('graphs', kind, 'an output with emit');
    for (const graph of manifest.graphs) {
      if (graph.run === 'per-item') fail(`graphs.${graph.name}.run`, graph.run, 'kind generator');
      for (const { name, sink } of graph.outputs)
        if (sink.to === 'logits')
          fail(`graphs.${graph.name}.outputs.${name}.logits`, true, 'kind generator');
    }
  }
  allowSources(manifest, fail);
  if (kind === 'stateless') checkStateless(manifest, fail);
  if (kind === 'generator') checkGenerator(manifest, fail);
}

const SOURCES: Readonly<Record<Manifest['kind'], readonly Source['from'][]>> = {
  stateless: ['input', 'parameter', 'constant'],
  stateful: ['input', 'frame', 'state', 'parameter', 'constant'],
  generator: ['input', 'item', 'token', 'state', 'parameter', 'constant'],
};

function allowSources(manifest: Manifest, fail: Fail): void {
  for (const graph of manifest.graphs)
    for (const { name, source } of graph.inputs) {
      const key = `graphs.${graph.name}.inputs.${name}.from`;
      const allowed = SOURCES[manifest.kind];
      if (!allowed.includes(source.from))
        fail(key, source.from, `for kind ${manifest.kind} one of ${allowed.join(', ')}`);
      if (source.from === 'item' && graph.run !== 'per-item')
        fail(key, 'item', 'a graph that runs per-item');
      if ((source.from === 'token' || source.from === 'frame') && graph.run !== 'per-step')
        fail(key, source.from, 'a graph that runs per-step');
    }
}

function checkStateless(manifest: Manifest, fail: Fail): void {
  if (manifest.graphs.length !== 1)
    fail('graphs', manifest.graphs.length, 'exactly one graph for kind stateless');
  if (manifest.state.length > 0) fail('state', manifest.state.length, 'none for kind stateless');
  const graph = manifest.graphs[0];
  if (graph === undefined) return;
  for (const { name, source, batchAxis } of graph.inputs) {
    if (source.from !== 'input' || batchAxis === null) continue;
    const input = manifest.inputs.find((one) => one.name === source.input);
    const size = input?.shape[batchAxis];
    if (size === undefined)
      fail(
        `graphs.${graph.name}.inputs.${name}.batch_axis`,
        batchAxis,
        `less than the rank of input ${source.input}`,
      );
    if (typeof size === 'number')
      fail(
        `inputs.${source.input}.shape.${batchAxis}`,
        size,
        'a name: the batch axis is of any size',
      );
  }
}

function checkGenerator(manifest: Manifest, fail: Fail): void {
  if (manifest.generation === undefined) fail('generation', undefined, 'start and stop tokens');
  for (const graph of manifest.graphs)
    for (const { name, sink } of graph.outputs)
      if (sink.to === 'emit')
        fail(
          `graphs.${graph.name}.outputs.${name}.emit`,
          sink.output,
          'logits or state: a generator emits its tokens and nothing else',
        );
  const scores = manifest.graphs.flatMap((graph) =>
    graph.outputs.filter(({ sink }) => sink.to === 'logits').map(() => graph),
  );
  const [scoring] = scores;
  if (scoring === undefined || scores.length > 1)
    return fail('graphs', scores.length, 'exactly one output with logits: true');
  if (scoring.run !== 'per-step')
    fail(`graphs.${scoring.name}.run`, scoring.run, 'per-step where logits are');
  const texts = manifest.inputs.filter(({ media }) => media?.kind === 'text');
  const [text] = texts;
  if (texts.length > 1) fail('inputs', texts.length, 'one input with media text at most');
  if (text !== undefined && (text.dtype !== 'int64' || text.shape.length !== 1))
    fail(`inputs.${text.name}`, [text.dtype, text.shape], 'int64 token ids of one dimension');
  const items = manifest.graphs.some(({ run }) => run === 'per-item');
  if (items && text === undefined && manifest.text.input === undefined)
    fail('text.input', undefined, 'what the items are: text.input, or an input with media text');
}
