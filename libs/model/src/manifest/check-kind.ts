/** What each kind of model may and must have. */
import { KINDS } from './kinds';
import type { Report } from './problems';
import type { Manifest } from './types';

export function checkKind(manifest: Manifest, report: Report): void {
  const { kind } = manifest;
  const { generates, takesLiveInput, oneGraph } = KINDS[kind];
  const perStep = manifest.graphs.filter(({ run }) => run === 'per-step');
  if (perStep.length === 0) report('graphs', kind, 'a graph that runs per-step');
  if (!generates) {
    if (manifest.generation !== undefined) report('generation', kind, 'kind generator');
    if (manifest.text.input !== undefined) report('text.input', kind, 'kind generator');
    if (manifest.text.output !== undefined) report('text.output', kind, 'kind generator');
    if (manifest.outputs.length === 0) report('graphs', kind, 'an output with emit');
    for (const graph of manifest.graphs)
      for (const { name, sinks } of graph.outputs)
        if (sinks.some(({ to }) => to === 'logits'))
          report(`graphs.${graph.name}.outputs.${name}.logits`, true, 'kind generator');
  }
  if (!takesLiveInput && manifest.framed.length > 0) report('framing', kind, 'kind stateful');
  checkGraphs(manifest, report);
  if (oneGraph) checkStateless(manifest, report);
  if (generates) checkGenerator(manifest, report);
}

function checkGraphs(manifest: Manifest, report: Report): void {
  const { sources, runs } = KINDS[manifest.kind];
  for (const graph of manifest.graphs) {
    if (!runs.includes(graph.run))
      report(
        `graphs.${graph.name}.run`,
        graph.run,
        `for kind ${manifest.kind} one of ${runs.join(', ')}`,
      );
    for (const { name, source } of graph.inputs) {
      const key = `graphs.${graph.name}.inputs.${name}.from`;
      if (!sources.includes(source.from))
        report(key, source.from, `for kind ${manifest.kind} one of ${sources.join(', ')}`);
      if (source.from === 'item' && graph.run !== 'per-item')
        report(key, 'item', 'a graph that runs per-item');
      if ((source.from === 'token' || source.from === 'frame') && graph.run !== 'per-step')
        report(key, source.from, 'a graph that runs per-step');
    }
  }
}

function checkStateless(manifest: Manifest, report: Report): void {
  if (manifest.graphs.length !== 1)
    report('graphs', manifest.graphs.length, 'exactly one graph for kind stateless');
  if (manifest.state.length > 0) report('state', manifest.state.length, 'none for kind stateless');
  const graph = manifest.graphs[0];
  if (graph === undefined) return;
  for (const { name, source, batchAxis } of graph.inputs) {
    if (source.from !== 'input' || batchAxis === null) continue;
    const input = manifest.inputs.find((one) => one.name === source.input);
    const size = input?.shape[batchAxis];
    if (size === undefined)
      report(
        `graphs.${graph.name}.inputs.${name}.batch_axis`,
        batchAxis,
        `less than the rank of input ${source.input}`,
      );
    if (typeof size === 'number')
      report(
        `inputs.${source.input}.shape.${batchAxis}`,
        size,
        'a name: the batch axis is of any size',
      );
  }
}

function checkGenerator(manifest: Manifest, report: Report): void {
  if (manifest.generation === undefined) report('generation', undefined, 'start and stop tokens');
  for (const graph of manifest.graphs)
    for (const { name, sinks } of graph.outputs)
      for (const sink of sinks)
        if (sink.to === 'emit')
          report(
            `graphs.${graph.name}.outputs.${name}.emit`,
            sink.output,
            'logits or state: a generator emits its tokens and nothing else',
          );
  const scores = manifest.graphs.flatMap((graph) =>
    graph.outputs.filter(({ sinks }) => sinks.some(({ to }) => to === 'logits')).map(() => graph),
  );
  const [scoring] = scores;
  if (scoring === undefined || scores.length > 1)
    report('graphs', scores.length, 'exactly one output with logits: true');
  else if (scoring.run !== 'per-step')
    report(`graphs.${scoring.name}.run`, scoring.run, 'per-step where logits are');
  const texts = manifest.inputs.filter(({ media }) => media?.kind === 'text');
  const [text] = texts;
  if (texts.length > 1) report('inputs', texts.length, 'one input with media text at most');
  if (text !== undefined && (text.dtype !== 'int64' || text.shape.length !== 1))
    report(`inputs.${text.name}`, [text.dtype, text.shape], 'int64 token ids of one dimension');
  const items = manifest.graphs.some(({ run }) => run === 'per-item');
  if (items && text === undefined && manifest.text.input === undefined)
    report('text.input', undefined, 'what the items are: text.input, or an input with media text');
}
