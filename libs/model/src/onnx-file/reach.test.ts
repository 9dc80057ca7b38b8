import { dependsOn, operators } from './reach';
import type { GraphNode, GraphSummary, Subgraph } from './types';

const node = (
  op: string,
  inputs: string[],
  outputs: string[],
  subgraphs?: Subgraph[],
): GraphNode => ({ op, domain: '', inputs, outputs, ...(subgraphs && { subgraphs }) });

const body = (nodes: GraphNode[], outputs: string[], inputs: string[] = []): Subgraph => ({
  inputs,
  outputs,
  initializers: new Set(['k']),
  nodes,
});

function summary(inputs: string[], outputs: string[], nodes: GraphNode[]): GraphSummary {
  const values = (names: string[]) =>
    names.map((name) => ({ name, kind: 'tensor', dtype: 'float32', dims: undefined }) as const);
  return {
    irVersion: 8,
    opsets: [],
    inputs: values(inputs),
    defaulted: values(['d']),
    outputs: values(outputs),
    initializers: new Set(['w', 'd']),
    nodes,
    externalFiles: [],
    metadata: { producer: '', docString: '', domain: '', modelVersion: 0, properties: new Map() },
  };
}

test('an output depends on the inputs that a path leads from', () => {
  const graph = summary(
    ['a', 'b', 'c'],
    ['x', 'y', 'c', 'z'],
    [
      node('Add', ['a', 'w'], ['t']),
      node('Clip', ['t', '', 'd'], ['x']),
      node('Add', ['t', 'b'], ['y']),
      node('Constant', [], ['z']),
    ],
  );
  expect(dependsOn(graph, 'x')).toEqual(new Set(['a']));
  expect(dependsOn(graph, 'y')).toEqual(new Set(['a', 'b']));
  expect(dependsOn(graph, 'c')).toEqual(new Set(['c']));
  expect(dependsOn(graph, 'z')).toEqual(new Set());
  expect(() => dependsOn(graph, 'q')).toThrow('output: got "q", expected one of x, y, c, z');
});

test('subgraphs use names of the graphs around them, and hide some', () => {
  const inner = node(
    'If',
    ['a2'],
    ['i'],
    [body([node('Add', ['b', 'k'], ['o'])], ['o']), body([], ['c'])],
  );
  // The body's own input `d1` and its initializer `k` hide the outer ones.
  const graph = summary(
    ['a', 'b', 'c', 'd1', 'k', 'e'],
    ['y'],
    [
      node('Not', ['a'], ['a2']),
      node(
        'Loop',
        ['', ''],
        ['y'],
        [body([inner, node('Add', ['d1', 'k'], ['p'])], ['i', 'p'], ['d1'])],
      ),
    ],
  );
  expect(dependsOn(graph, 'y')).toEqual(new Set(['a', 'b', 'c']));
  expect(operators(graph)).toEqual(new Set(['Not', 'Loop', 'If', 'Add']));
});

test('nodes in a circle come to an end', () => {
  const graph = summary(['a'], ['x'], [node('Add', ['y', 'a'], ['x']), node('Neg', ['x'], ['y'])]);
  expect(dependsOn(graph, 'x')).toEqual(new Set(['a']));
});

test('operators of other domains are named with them', () => {
  const fused = { ...node('FusedConv', [], []), domain: 'com.microsoft' };
  expect(operators({ nodes: [fused, node('Conv', [], [])] })).toEqual(
    new Set(['com.microsoft:FusedConv', 'Conv']),
  );
});
