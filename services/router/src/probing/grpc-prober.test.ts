import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { allowance } from './allowance';
import { GrpcProber } from './grpc-prober';

const target = (address: string) => ({ nodeId: 'a', incarnation: 'a-1', address });

test('a name that resolves to a refused address is not dialled', async () => {
  let dialled = 0;
  const trap = createServer((socket) => {
    dialled++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  const { port } = trap.address() as AddressInfo;
  const resolved = (ips: readonly string[]) => () =>
    Promise.resolve(ips.map((address) => ({ address })));
  const probe = (loopback: boolean, ips: readonly string[]): Promise<void> =>
    new GrpcProber(allowance(undefined, loopback), {}, resolved(ips)).probe(
      target(`localhost:${port}`),
      AbortSignal.timeout(5000),
    );
  try {
    await expect(probe(false, ['10.0.0.1', '127.0.0.1'])).rejects.toMatchObject({
      reason: 'PERMISSION_DENIED',
      message: expect.stringMatching(/localhost is 127\.0\.0\.1.*nodes\.allow/) as unknown,
    });
    await expect(probe(true, ['169.254.169.254'])).rejects.toMatchObject({
      reason: 'PERMISSION_DENIED',
    });
    expect(dialled).toBe(0);
    // The control: where it is allowed, the trap is met.
    await expect(probe(true, ['127.0.0.1'])).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
    expect(dialled).toBeGreaterThan(0);
  } finally {
    await new Promise((resolve) => trap.close(resolve));
  }
});

test('a name that cannot be resolved is unreachable', async () => {
  const lookup = () => Promise.reject(new Error('getaddrinfo ENOTFOUND hoster1'));
  const prober = new GrpcProber(allowance(undefined, false), {}, lookup);
  await expect(
    prober.probe(target('hoster1:50051'), AbortSignal.timeout(5000)),
  ).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
});
