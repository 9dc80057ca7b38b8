/** What a graph's outputs hang on, and which operators it has. */
import { invalid } from '@cabstand/core';
import type { GraphNode, GraphSummary, Subgraph } from './types';

/**
 * Names of the `inputs` that an output can depend on: those from which a path leads to it. A graph may still
 * ignore their values. Inputs with a default do not count.
 *
 * @throws CabstandError MANIFEST_INVALID if the graph has no such output.
 */
export function dependsOn(summary: GraphSummary, output: string): Set<string> {
  const names = summary.outputs.map(({ name }) => name);
  if (!names.includes(output))
    throw invalid('MANIFEST_INVALID', 'output', output, `one of ${names.join(', ')}`);
  const makers = new Map<string, GraphNode>();
  for (const node of summary.nodes) for (const name of node.outputs) makers.set(name, node);
  const seen = new Set([output]);
  // A set goes on to what was added to it while it is walked.
  for (const name of seen) {
    const maker = makers.get(name);
    if (maker !== undefined) for (const used of usedBy(maker)) seen.add(used);
  }
  return new Set(summary.inputs.map(({ name }) => name).filter((name) => seen.has(name)));
}

/** Names that a node takes from the graph around it. */
function usedBy({ inputs, subgraphs = [] }: GraphNode): Set<string> {
  const used = new Set(inputs);
  for (const subgraph of subgraphs) for (const name of takenFromOutside(subgraph)) used.add(name);
  // An input that is left out.
  used.delete('');
  return used;
}

function takenFromOutside({ inputs, outputs, initializers, nodes }: Subgraph): Set<string> {
  const taken = new Set(outputs);
  for (const node of nodes) for (const name of usedBy(node)) taken.add(name);
  for (const name of [...inputs, ...initializers]) taken.delete(name);
  for (const node of nodes) for (const name of node.outputs) taken.delete(name);
  return taken;
}

/**
 * The operators of a graph and its subgraphs: `LSTM`, and with a domain other than the standard one
 * `com.microsoft:FusedConv`. A call of a local function is one of them; what the function's body holds is not.
 */
export function operators({ nodes }: Pick<GraphSummary, 'nodes'>): Set<string> {
  const found = new Set<string>();
  const visit = (graph: { readonly nodes: readonly GraphNode[] }): void => {
    for (const { op, domain, subgraphs = [] } of graph.nodes) {
      found.add(domain === '' ? op : `${domain}:${op}`);
      subgraphs.forEach(visit);
    }
  };
  visit({ nodes });
  return found;
}
