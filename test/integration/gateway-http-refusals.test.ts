/** What a gateway refuses to callers with nothing but HTTP, and how it says so. Needs a build. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { HttpGateway, Live, START_MS } from '../support/http-gateway';
import type { Ask } from '../support/http-gateway';

jest.setTimeout(60_000);

let http: HttpGateway;

beforeAll(async () => {
  http = await HttpGateway.start();
}, START_MS);

afterAll(() => http[Symbol.asyncDispose]());

test.each<[string, string, string, Ask, number, string, string?]>([
  ['no JSON', 'POST', '/v1/sessions', { body: '{' }, 400, 'INVALID_ARGUMENT', 'JSON'],
  ['no object', 'POST', '/v1/sessions', { body: [] }, 400, 'INVALID_ARGUMENT', 'body'],
  [
    'unknown fields',
    'POST',
    '/v1/sessions',
    { body: { model: 'g2p', promt: 'taxi' } },
    400,
    'INVALID_ARGUMENT',
    'promt',
  ],
  [
    'all problems at once',
    'POST',
    '/v1/sessions',
    { body: { model: 7, durable: 'yes' } },
    400,
    'INVALID_ARGUMENT',
    'durable',
  ],
  [
    'another type of body',
    'POST',
    '/v1/sessions',
    { body: '{}', headers: { 'content-type': 'text/plain' } },
    400,
    'INVALID_ARGUMENT',
    'application/json',
  ],
  [
    'an unknown model',
    'POST',
    '/v1/sessions',
    { body: { model: 'nothing' } },
    404,
    'MODEL_UNKNOWN',
  ],
  [
    'a wrong dtype',
    'POST',
    '/v1/sessions',
    { body: { model: 'silero-vad', tensors: { audio: { dtype: 'float33', data: [0] } } } },
    400,
    'INVALID_ARGUMENT',
    'float33',
  ],
  [
    'a dtype that the model does not take',
    'POST',
    '/v1/sessions',
    { body: { model: 'silero-vad', tensors: { audio: { dtype: 'int64', data: [0] } } } },
    400,
    'INPUT_DTYPE',
  ],
  [
    'fewer elements than the shape says',
    'POST',
    '/v1/sessions',
    {
      body: {
        model: 'silero-vad',
        tensors: { audio: { dtype: 'float32', shape: [512], data: [0, 1] } },
      },
    },
    400,
    'INPUT_BYTES',
    '512',
  ],
  [
    'half an element',
    'POST',
    '/v1/sessions',
    { body: { model: 'silero-vad', tensors: { audio: { dtype: 'float32', base64: 'AAAA' } } } },
    400,
    'INPUT_BYTES',
  ],
  [
    'data and base64',
    'POST',
    '/v1/sessions',
    {
      body: { model: 'silero-vad', tensors: { audio: { dtype: 'float32', data: [], base64: '' } } },
    },
    400,
    'INVALID_ARGUMENT',
    'base64',
  ],
  [
    'text for a number',
    'POST',
    '/v1/sessions',
    { body: { model: 'silero-vad', tensors: { audio: { dtype: 'float32', data: ['loud'] } } } },
    400,
    'INPUT_OUT_OF_RANGE',
  ],
  [
    'a body beyond the limit',
    'POST',
    '/v1/sessions',
    { body: JSON.stringify({ prompt: 'x'.repeat(9 * 1024 * 1024) }) },
    413,
    'MESSAGE_TOO_LARGE',
  ],
  [
    'an unknown session',
    'POST',
    '/v1/sessions/nobody/turns',
    { body: { prompt: 'taxi' } },
    404,
    'SESSION_UNKNOWN',
  ],
  ['events of an unknown session', 'GET', '/v1/sessions/nobody/events', {}, 404, 'SESSION_UNKNOWN'],
  [
    'commands to an unknown session',
    'POST',
    '/v1/sessions/nobody/commands',
    { body: { name: 'stop' } },
    404,
    'SESSION_UNKNOWN',
  ],
  ['the end of an unknown session', 'DELETE', '/v1/sessions/nobody', {}, 404, 'SESSION_UNKNOWN'],
  [
    'a name that is none',
    'GET',
    '/v1/sessions/no%20body/events',
    {},
    400,
    'INVALID_ARGUMENT',
    'session_id',
  ],
  [
    'Last-Event-ID that is no number',
    'GET',
    '/v1/sessions/nobody/events',
    { headers: { 'last-event-id': 'ten' } },
    400,
    'INVALID_ARGUMENT',
    'Last-Event-ID',
  ],
  ['another method', 'PUT', '/v1/sessions', { body: {} }, 400, 'INVALID_ARGUMENT', 'POST'],
  ['another path', 'GET', '/v2', {}, 501, 'UNIMPLEMENTED'],
  ['no token', 'GET', '/v1/models', { headers: { authorization: '' } }, 401, 'CREDENTIALS_MISSING'],
  [
    'a token that is none',
    'GET',
    '/v1/models',
    { headers: { authorization: 'Bearer x' } },
    401,
    'CREDENTIALS_MALFORMED',
  ],
])('bad input: %s', async (_name, method, path, given, status, reason, told = '') => {
  const response = await http.ask(method, path, given);
  const { error } = (await response.json()) as { error: { reason: string; message: string } };
  expect([response.status, error.reason]).toEqual([status, reason]);
  expect(error.message).toContain(told);
});

test.each<[string, () => unknown, (live: Live) => void, number, string]>([
  [
    'no token',
    () => ({ ...http.microphone(), token: undefined }),
    () => undefined,
    1008,
    'CREDENTIALS_MISSING',
  ],
  ['no JSON', () => '{', () => undefined, 1008, 'INVALID_ARGUMENT'],
  [
    'another first message',
    () => ({ type: 'end_input' }),
    () => undefined,
    1008,
    'INVALID_ARGUMENT',
  ],
  [
    'an unknown model',
    () => ({ ...http.microphone(), model: 'nothing' }),
    () => undefined,
    1008,
    'MODEL_UNKNOWN',
  ],
  [
    'half a sample',
    () => http.microphone(),
    ({ socket }) => socket.send(Buffer.alloc(3)),
    1008,
    'INPUT_BYTES',
  ],
  [
    'an unknown message',
    () => http.microphone(),
    ({ socket }) => socket.send('{"type": "sing"}'),
    1008,
    'INVALID_ARGUMENT',
  ],
  [
    'input after its end',
    () => http.microphone(),
    ({ socket }) => ['{"type": "end_input"}', Buffer.alloc(4)].forEach((one) => socket.send(one)),
    1008,
    'INVALID_ARGUMENT',
  ],
])('bad input over a websocket: %s', async (_name, open, then, code, reason) => {
  const live = new Live(http.socketTo('/v1/sessions/live'), open());
  live.socket.once('open', () => then(live));
  expect(await live.closed).toBe(code);
  expect(live.heard.at(-1)).toMatchObject({ type: 'error', reason });
});

test('a connection that was to become a WebSocket, and is refused, is closed by the gateway', async () => {
  const { hostname, port } = new URL(http.base);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  let answer = '';
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString()));
  socket.on('error', () => undefined);
  const head = [
    'GET /v1/nothing HTTP/1.1',
    'host: gateway',
    'connection: upgrade',
    'upgrade: websocket',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  await once(socket, 'end');
  expect(answer).toMatch(/^HTTP\/1.1 400 INVALID_ARGUMENT/);
  // Its caller keeps its side open: what it says goes nowhere.
  const talking = setInterval(() => socket.write('more'), 20);
  // What it says may break the connection, which closes it as well.
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(talking);
});
