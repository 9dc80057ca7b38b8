/** Bytes that are no calls, and calls that are no messages: each port survives, harming nobody. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Code } from '@cabstand/core';
import { issueToken } from '@cabstand/auth-admin';
import { Encoded, HealthService, HosterService, RpcClient } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { Subnet, refusalOf } from '@cabstand/testing';
import { Unharmed } from '../support/bystander';
import { framed, rawCall, sendBytes } from '../support/garbage';
import { RawClient, readAll, within } from '../support/raw';

/** Longer than what a client may need to finish its first request. */
const PATIENCE_MS = 1000;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

let subnet: Subnet;
let unharmed: Unharmed;
let authorization: string;

beforeAll(async () => {
  subnet = await Subnet.start({ hosters: 1 });
  unharmed = new Unharmed(subnet);
  const token = await issueToken({
    folder: subnet.keys,
    subject: 'client',
    audience: [...subnet.routers, ...subnet.hosters].map(({ address }) => address),
  });
  authorization = `Bearer ${token}`;
}, 90_000);

afterAll(() => subnet.stop());

afterEach(() => unharmed.checkProcesses());

/** Addresses of everything that listens. */
const ports = (): string[] =>
  [...subnet.routers, ...subnet.hosters].flatMap(({ address, admin }) => [address, admin]);

async function healthy(): Promise<void> {
  for (const { address } of [...subnet.routers, ...subnet.hosters]) {
    const client = new RpcClient(address);
    expect(await client.unary(HealthService.Check, {}, within)).toEqual({ status: 'SERVING' });
    client.close();
  }
}

describe('a port', () => {
  test.each<[string, Buffer]>([
    ['random bytes', randomBytes(64 * 1024)],
    ['zeros', Buffer.alloc(64 * 1024)],
    ['text', Buffer.from('hello\r\n\r\n'.repeat(100))],
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
    ['TLS', Buffer.concat([Buffer.from('160301ffff0100', 'hex'), randomBytes(2048)])],
    ['half a preface', PREFACE.subarray(0, 12)],
    ['a preface and random frames', Buffer.concat([PREFACE, randomBytes(4096)])],
    ['a frame of 16 MiB', Buffer.concat([PREFACE, Buffer.from('ffffff000000000001', 'hex')])],
  ])('that gets %s serves on', async (_what, bytes) => {
    const ends = await Promise.all(ports().map((port) => sendBytes(port, bytes, PATIENCE_MS)));
    // Half a preface may yet become a whole one.
    if (bytes.length > PREFACE.length) expect(ends[0]).toBe('closed');
    await healthy();
  });

  test('serves on when a hundred connections come and say nothing', async () => {
    const silent = Array.from({ length: 100 }, (_, i) =>
      sendBytes(ports()[i % 4] ?? '', Buffer.alloc(0), PATIENCE_MS),
    );
    await healthy();
    await Promise.all(silent);
  });
});

describe('a call', () => {
  const INFO = '/cabstand.v1.HosterService/rpc_info';
  const call = (
    fields: Readonly<Record<string, string>>,
    body: Uint8Array,
    options?: { readonly end: boolean },
  ): ReturnType<typeof rawCall> =>
    rawCall(
      subnet.hosters[0]?.address ?? '',
      { ':path': INFO, authorization, ...fields },
      body,
      options,
    );

  test('as it should be is answered', async () => {
    expect(await call({}, framed(Buffer.alloc(0)))).toMatchObject({ http: 200, grpc: Code.OK });
  });

  test('of an unknown method or service is unimplemented', async () => {
    for (const path of ['/cabstand.v1.HosterService/rpc_nothing', '/nothing/at.all', '/'])
      expect(await call({ ':path': path }, framed(Buffer.alloc(0)))).toMatchObject({
        grpc: Code.UNIMPLEMENTED,
      });
  });

  test('of another content type is refused', async () => {
    const { http } = await call({ 'content-type': 'application/json' }, Buffer.from('{}'));
    expect(http).toBe(415);
  });

  test('with bytes that are no message is the caller’s mistake', async () => {
    using client = new RawClient(subnet);
    const garbage = new Encoded(Buffer.from('ff'.repeat(100), 'hex'));
    for (const method of [HosterService.rpc_info, HosterService.rpc_session_status])
      expect(
        await refusalOf(client.hoster.unary(method as typeof HosterService.rpc_info, garbage)),
      ).toMatchObject({ reason: 'INVALID_ARGUMENT' });
    const stream = client.hoster.serverStream(HosterService.rpc_inference_stream, garbage, within);
    expect(await refusalOf(readAll(stream))).toMatchObject({ reason: 'INVALID_ARGUMENT' });
  });

  // The length is the first thing that comes: nothing is kept for what was not sent yet.
  test('that announces two gigabytes is refused at once', async () => {
    const before = residentBytes();
    for (let i = 0; i < 20; i++)
      expect(await call({}, framed(Buffer.alloc(16), 2 ** 31), { end: false })).toMatchObject({
        grpc: Code.RESOURCE_EXHAUSTED,
      });
    expect(residentBytes() - before).toBeLessThan(64 * 1024 * 1024);
  });

  function residentBytes(): number {
    const status = readFileSync(`/proc/${String(subnet.hosters[0]?.child.pid)}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  test('that ends within a message is refused', async () => {
    const { grpc } = await call({}, framed(Buffer.alloc(16), 1000));
    expect(grpc).not.toBe(Code.OK);
  });

  test('with a compression nobody asked for is refused', async () => {
    const { grpc } = await call({ 'grpc-encoding': 'zip' }, framed(randomBytes(16), 16, 1));
    expect(grpc).toBe(Code.UNIMPLEMENTED);
  });

  test('with compressed bytes that are none is refused', async () => {
    const { grpc } = await call({ 'grpc-encoding': 'gzip' }, framed(randomBytes(16), 16, 1));
    expect(grpc).not.toBe(Code.OK);
    await healthy();
  });

  test('without credentials is refused before its message is read', async () => {
    const garbage = framed(Buffer.from('ff'.repeat(100), 'hex'));
    const { grpc } = await call({ authorization: '' }, garbage);
    expect(grpc).toBe(Code.UNAUTHENTICATED);
  });
});

describe('messages of 15 MB that are refused', () => {
  const SIZE = 15_000_000;
  const bytesOf = (request: v1.InferenceStreamRequest): Buffer =>
    HosterService.rpc_inference_stream.request.encode(request);
  const input = bytesOf({ inputs: [{ name: 'word' }] });

  test.each([
    ['prompts', bytesOf({ model: 'g2p', prompt: 'x'.repeat(SIZE) })],
    ['inputs', Buffer.alloc(SIZE, input).subarray(0, SIZE - (SIZE % input.length))],
  ])('keep nobody waiting, though six of them come at once: %s', async (_what, bytes) => {
    const clients = Array.from({ length: 6 }, () => new RawClient(subnet));
    const other = new RpcClient(subnet.hosters[0]?.address ?? '');
    const over = { now: false };
    const refusals = Promise.all(
      clients.map(({ hoster }) =>
        refusalOf(
          readAll(
            hoster.serverStream(HosterService.rpc_inference_stream, new Encoded(bytes), within),
          ),
        ),
      ),
    ).finally(() => (over.now = true));
    let answers = 0;
    for (; !over.now; answers++)
      expect(await other.unary(HealthService.Check, {}, within)).toEqual({ status: 'SERVING' });
    const reasons = (await refusals).map(({ reason }) => reason);
    for (const client of clients) client[Symbol.dispose]();
    other.close();
    expect(reasons).toEqual(Array<string>(6).fill('LIMIT_EXCEEDED'));
    // Between any two of them others were served.
    expect(answers).toBeGreaterThan(6);
  });
});

test('nothing else was harmed', () => unharmed.check());
