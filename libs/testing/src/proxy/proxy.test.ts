import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { until } from '../until';
import { FaultProxy } from './proxy';

/** One end of a connection with all that came out of it. */
class End {
  readonly #chunks: Buffer[] = [];
  length = 0;
  ended = false;
  error: NodeJS.ErrnoException | undefined;
  closed = false;

  constructor(readonly socket: Socket) {
    socket.on('data', (data: Buffer) => {
      this.#chunks.push(data);
      this.length += data.length;
    });
    socket.on('end', () => (this.ended = true));
    socket.on('error', (error) => (this.error = error));
    socket.on('close', () => (this.closed = true));
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  async got(bytes: number): Promise<Buffer> {
    await until(`${String(bytes)} bytes`, () => this.length >= bytes || undefined, {
      explain: () => `${String(this.length)} came`,
    });
    return this.received;
  }
}

let server: Server;
let proxy: FaultProxy;
const accepted: End[] = [];
const dialled: End[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new End(socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await FaultProxy.start(`127.0.0.1:${String((server.address() as AddressInfo).port)}`);
});

afterEach(async () => {
  for (const { socket } of [...dialled.splice(0), ...accepted.splice(0)]) socket.destroy();
  await proxy.close();
  server.close();
});

async function pair(): Promise<{ client: End; service: End }> {
  const count = accepted.length;
  const [host, port] = proxy.address.split(':');
  const client = new End(connect({ host, port: Number(port), allowHalfOpen: true }));
  dialled.push(client);
  const service = await until('the service to be dialled', () => accepted[count]);
  return { client, service };
}

const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i & 0xff));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('without faults each byte passes unchanged both ways, and so does the end', async () => {
  const { client, service } = await pair();
  const large = bytes(3_000_000);
  client.socket.write(large);
  service.socket.write('hello');
  expect((await service.got(large.length)).equals(large)).toBe(true);
  expect((await client.got(5)).toString()).toBe('hello');
  client.socket.end();
  await until('the end', () => service.ended || undefined);
  expect(service.closed).toBe(false);
  service.socket.end('bye');
  expect((await client.got(8)).toString()).toBe('hellobye');
  await until('the proxy to forget it', () => proxy.connections === 0 || undefined);
});

test('a reader who does not read slows the writer', async () => {
  const { client, service } = await pair();
  service.socket.pause();
  let written = 0;
  const block = bytes(65_536);
  const flood = (): void => {
    while (client.socket.write(block)) written += 65_536;
  };
  client.socket.on('drain', flood);
  flood();
  await pause(300);
  const held = written;
  await pause(200);
  expect(written).toBe(held);
  service.socket.resume();
  await until('the flood to go on', () => written > 2 * held || undefined);
});

test('reset at a chosen byte: what came before arrives, nothing after it', async () => {
  const { client, service } = await pair();
  client.socket.write(bytes(10));
  await service.got(10);
  const injection = proxy.inject({ kind: 'reset' }, { direction: 'up', afterBytes: 5 });
  client.socket.write(bytes(100));
  // Where bytes come right before a reset, libuv tells their receiver of an orderly end.
  await until(
    'both ends to notice',
    () => (client.closed && (service.closed || service.ended)) || undefined,
  );
  await pause(20);
  expect(service.received.length).toBe(15);
  expect(client.error?.code).toBe('ECONNRESET');
  expect(injection.hits).toBe(1);
});

test('reset now, and only connections that are open', async () => {
  const { client } = await pair();
  expect(proxy.reset()).toBe(1);
  await until('the reset', () => client.closed || undefined);
  const { client: next, service } = await pair();
  next.socket.write('x');
  await service.got(1);
});

test('a black hole swallows even the end, and gives all of it back when it heals', async () => {
  const { client, service } = await pair();
  const hole = proxy.inject({ kind: 'black-hole' });
  client.socket.write('lost?');
  client.socket.end();
  const { client: later, service: behind } = await pair();
  later.socket.write('hi');
  await pause(150);
  expect(service.received.length).toBe(0);
  expect(service.ended).toBe(false);
  expect(behind.received.length).toBe(0);
  hole.heal();
  expect((await service.got(5)).toString()).toBe('lost?');
  await until('the end', () => service.ended || undefined);
  await behind.got(2);
});

test('a black hole hides a reset until it heals', async () => {
  const { client, service } = await pair();
  const hole = proxy.inject({ kind: 'black-hole' });
  client.socket.resetAndDestroy();
  await pause(100);
  expect(service.closed).toBe(false);
  hole.heal();
  await until('the reset', () => service.closed || undefined);
});

test('half-closed one way: the receiver sees the end, the other way still flows', async () => {
  const { client, service } = await pair();
  service.socket.write('before');
  await client.got(6);
  proxy.inject({ kind: 'half-close' }, { direction: 'down' });
  await until('the end', () => client.ended || undefined);
  service.socket.write('after');
  client.socket.write('still here');
  expect((await service.got(10)).toString()).toBe('still here');
  expect(client.received.toString()).toBe('before');
});

test('corrupt inverts just the bytes it is told to', async () => {
  const { client, service } = await pair();
  proxy.inject({ kind: 'corrupt', bytes: 2 }, { direction: 'up', afterBytes: 3 });
  client.socket.write(bytes(8));
  expect([...(await service.got(8))]).toEqual([0, 1, 2, 0xfc, 0xfb, 5, 6, 7]);
});

test('drop takes bytes out of the stream', async () => {
  const { client, service } = await pair();
  proxy.inject({ kind: 'drop', bytes: 3 }, { direction: 'up', afterBytes: 2 });
  client.socket.write(bytes(4));
  await service.got(2);
  client.socket.write(bytes(4));
  expect([...(await service.got(5))]).toEqual([0, 1, 1, 2, 3]);
});

test('delay holds each byte back by that time, in order', async () => {
  const { client, service } = await pair();
  const delay = proxy.inject({ kind: 'delay', ms: 120 }, { direction: 'up' });
  const start = performance.now();
  client.socket.write('a');
  await pause(60);
  client.socket.write('b');
  await service.got(1);
  expect(performance.now() - start).toBeGreaterThanOrEqual(115);
  expect((await service.got(2)).toString()).toBe('ab');
  expect(performance.now() - start).toBeGreaterThanOrEqual(175);
  delay.heal();
  const healed = performance.now();
  client.socket.write('c');
  await service.got(3);
  expect(performance.now() - healed).toBeLessThan(110);
});

test('throttle lets so many bytes through in a second', async () => {
  const { client, service } = await pair();
  using throttle = proxy.inject({ kind: 'throttle', bytesPerSecond: 20_000 }, { direction: 'up' });
  const start = performance.now();
  client.socket.write(bytes(6000));
  const received = await service.got(6000);
  expect(performance.now() - start).toBeGreaterThan(200);
  expect(received.equals(bytes(6000))).toBe(true);
  expect(throttle.hits).toBe(1);
});

test('faults for upcoming connections hit them, until healed', async () => {
  const refuse = proxy.inject({ kind: 'reset' }, { upcoming: true, direction: 'up' });
  const [host, port] = proxy.address.split(':');
  const refused = new End(connect({ host, port: Number(port) }));
  dialled.push(refused);
  await until('the refusal', () => refused.closed || undefined);
  proxy.heal();
  const { client, service } = await pair();
  client.socket.write('x');
  await service.got(1);
  expect(refuse.hits).toBe(1);
});

test('a service that is not there: the caller is reset', async () => {
  server.close();
  const [host, port] = proxy.address.split(':');
  const client = new End(connect({ host, port: Number(port) }));
  dialled.push(client);
  await until('the reset', () => client.closed || undefined);
});
