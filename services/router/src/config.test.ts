import { configWarnings, routerConfigSchema } from './config';

function warnings(config: object): string[] {
  return configWarnings(routerConfigSchema.parse(config));
}

test('limits on connections and calls that keep nodes out are named, with what to do', () => {
  expect(warnings({})).toEqual([]);
  expect(warnings({ registry: { max_nodes: 100 }, rpc: { max_connections: 100 } })).toEqual([]);
  expect(warnings({ rpc: { max_connections: 100 } })).toEqual([
    expect.stringMatching(/^rpc\.max_connections is 100, below registry\.max_nodes, 10000: /),
  ]);
  expect(warnings({ registry: { max_nodes: 50_000 } })).toEqual([
    expect.stringContaining('rpc.max_connections is 20000'),
    expect.stringContaining('rpc.max_concurrent_calls is 25000'),
  ]);
});
