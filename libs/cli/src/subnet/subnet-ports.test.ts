import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { CabstandError } from '@cabstand/core';
import { freePortsFrom, onOwnPorts } from './subnet-ports';

const taken = new CabstandError('ADDRESS_IN_USE', 'somebody listens there');

test('what loses its ports to somebody else runs again on others', async () => {
  const tried: number[] = [];
  const answer = await onOwnPorts(4, (first) => {
    tried.push(first);
    return tried.length < 3 ? Promise.reject(taken) : Promise.resolve('ran');
  });
  expect(answer).toBe('ran');
  expect(tried).toHaveLength(3);
  // Outgoing connections of this machine take their ports from 32768 on.
  for (const first of tried) expect(first + 3).toBeLessThan(32_768);
});

test('it gives up after five tries, and at once where ports are not what is wrong', async () => {
  let tries = 0;
  const failing = (error: Error) => onOwnPorts(1, () => (tries++, Promise.reject(error)));
  await expect(failing(taken)).rejects.toBe(taken);
  expect(tries).toBe(5);
  const other = new CabstandError('CONFIG_INVALID', 'a slip');
  await expect(failing(other)).rejects.toBe(other);
  expect(tries).toBe(6);
});

test('ports in a row leave out those that are taken', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    expect(await freePortsFrom(port - 1, 2)).toBeGreaterThan(port);
  } finally {
    server.close();
  }
});
