import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { CabstandError, MIB } from '@cabstand/core';
import { sendAnswer } from './answer';
import { collectBody } from './body';
import { httpStatus } from './statuses';

const LIMIT = 1000;
const MORE = Buffer.alloc(8 * MIB);

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request, response) => {
    const never = new AbortController().signal;
    collectBody(request, LIMIT, never)
      .then((body) => ({ status: 200, body }))
      .catch((error: unknown) => {
        const refused = CabstandError.from(error);
        return { status: httpStatus(refused), body: Buffer.from(refused.reason) };
      })
      .then((answer) => sendAnswer(request, response, { headers: {}, ...answer }))
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends a body as a caller that reads nothing before it has sent all; answers what comes then. */
function sent(body: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').pause();
    let text = '';
    socket.on('data', (piece) => (text += piece.toString()));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
    socket.write(body, () => socket.resume());
  });
}

const HEAD = 'POST / HTTP/1.1\r\nhost: here\r\n';
const length = MORE.length;

test.each([
  ['says how long it is', `${HEAD}content-length: ${length}\r\n\r\n`, ''],
  [
    'comes in chunks',
    `${HEAD}transfer-encoding: chunked\r\n\r\n${length.toString(16)}\r\n`,
    '\r\n0\r\n\r\n',
  ],
])('a caller whose body %s and is too long hears why', async (_how, head, tail) => {
  const body = Buffer.concat([Buffer.from(head), MORE, Buffer.from(tail)]);
  for (let i = 0; i < 10; i++) {
    const answer = await sent(body);
    expect(answer).toMatch(/^HTTP\/1.1 413 [^]*connection: close[^]*MESSAGE_TOO_LARGE$/i);
  }
});

test('a caller that is refused and never ends its body is cut off', async () => {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (piece) => (text += piece.toString()));
  socket.write(`${HEAD}content-length: ${length}\r\n\r\nx`);
  await new Promise((resolve) => socket.once('close', resolve));
  expect(text).toContain('413');
  expect(text).toMatch(/connection: close/i);
});
