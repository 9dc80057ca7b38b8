/** Callers with nothing but HTTP, through a gateway, while what serves them dies. Needs a build. */
import { WebSocket } from 'ws';
import { scrape, total, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient } from '../support/client';
import { runCurlPage } from '../support/curl-page';
import { HttpGateway, Live, ORIGIN, START_MS } from '../support/http-gateway';
import { SileroReference } from '../support/silero-reference';
import { sseEvents } from '../support/sse';
import type { SseEvent } from '../support/sse';

jest.setTimeout(240_000);

const FRAME = 512;
const recording = speech();

let http: HttpGateway;

beforeAll(async () => {
  http = await HttpGateway.start();
}, START_MS);

afterAll(() => http[Symbol.asyncDispose]());

interface JsonTensor {
  readonly data: readonly number[];
}

const probability = ({ data }: SseEvent): number =>
  Object.values(data['tensors'] as Record<string, JsonTensor>)[0]?.data[0] ?? NaN;

const textOf = (events: readonly SseEvent[]): string =>
  events.map(({ data }) => (data['text'] ?? '') as string).join('');

const silero = (audio: Float32Array) => ({
  model: 'silero-vad',
  tensors: {
    audio: {
      dtype: 'float32',
      base64: Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64'),
    },
  },
});

/** The hoster that has a session: it is the caller's own, so the caller finds it. */
async function serving(sessionId: string): Promise<number> {
  await using client = new TestClient(http.subnet);
  return await until('a hoster to claim the session', async () => {
    const [node] = await client.remote.locate(sessionId);
    const index = http.subnet.hosters.findIndex(({ address }) => address === node?.address);
    return index < 0 ? undefined : index;
  });
}

async function killServing(sessionId: string): Promise<() => Promise<void>> {
  const index = await serving(sessionId);
  const died = http.subnet.hosters[index]!;
  died.child.kill('SIGKILL');
  await died.child.exited;
  return async () => {
    const again = await http.subnet.startHoster(index, died);
    http.subnet.hosters[index] = again;
    await http.subnet.ready(again);
    await until('two hosters online', async () => {
      await using client = new TestClient(http.subnet);
      const nodes = await client.remote.nodes();
      return nodes.filter(({ state }) => state === 'online').length === 2 || undefined;
    });
  };
}

const positionsTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);

test('callers that vanish leave nothing behind', async () => {
  const open = async (): Promise<number> => {
    const counts = await Promise.all(
      http.subnet.hosters.map(async ({ admin }) =>
        total(await scrape(admin), 'cabstand_open_sessions'),
      ),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };
  await until('no session to be open', async () => (await open()) === 0 || undefined);
  const live = new Live(http.socketTo('/v1/sessions/live'), http.microphone());
  await until('it to be open', () => live.socket.readyState === WebSocket.OPEN || undefined);
  live.socket.send(Buffer.alloc(4 * FRAME * 10));
  const page = new AbortController();
  const response = await http.ask('POST', '/v1/sessions', {
    body: silero(variation(recording, 5, FRAME * 2500)),
    signal: page.signal,
  });
  await until('both to be served', async () => (await open()) === 2 || undefined);
  expect(response.status).toBe(200);
  live.socket.terminate();
  page.abort();
  await until('both to be gone', async () => (await open()) === 0 || undefined);
  // The gateway hears of a hoster's end, and a call's, in its own time.
  await until('nothing to be left at the gateway', async () => {
    const series = await scrape(http.gateway.admin);
    const left = ['cabstand_gateway_sessions', 'cabstand_gateway_http_open_calls'];
    return left.every((name) => total(series, name) === 0) || undefined;
  });
});

test('server-sent events: sigkill of the hoster, and a page that comes again twice; every record once', async () => {
  const frames = 1500;
  const audio = variation(recording, 1, FRAME * frames);
  const records: SseEvent[] = [];
  let sessionId = '';
  let restart: (() => Promise<void>) | undefined;
  let response = await http.ask('POST', '/v1/sessions', {
    body: { ...silero(audio), durable: true },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch('text/event-stream');
  for (const upTo of [400, 900, Infinity]) {
    for await (const event of sseEvents(response)) {
      if (event.type === 'opened') sessionId = String(event.data['session_id']);
      if (event.id === undefined) continue;
      records.push(event);
      if (records.length === 200) restart = await killServing(sessionId);
      if (records.length >= upTo) break;
    }
    if (upTo === Infinity) break;
    const headers = { 'last-event-id': String(records.at(-1)?.id) };
    response = await http.ask('GET', `/v1/sessions/${sessionId}/events`, { headers });
    expect(response.status).toBe(200);
  }
  expect(records.map(({ id }) => id)).toEqual(positionsTo(frames + 1));
  expect(records.at(-1)).toMatchObject({ type: 'end', data: { reason: 'completed' } });
  expect(Float32Array.from(records.slice(0, -1), probability)).toEqual(
    await (await SileroReference.load()).probabilities(audio),
  );

  // Nothing more is to come: who comes by itself is told to stop. What was is there a while longer.
  const events = `/v1/sessions/${sessionId}/events`;
  const last = (id: number) => ({ headers: { 'last-event-id': String(id) } });
  expect((await http.ask('GET', events, last(frames))).status).toBe(204);
  const tail: SseEvent[] = [];
  for await (const event of sseEvents(await http.ask('GET', events, last(frames - 3))))
    tail.push(event);
  expect(tail.map(({ id }) => id)).toEqual([frames - 2, frames - 1, frames]);
  const ended = await http.ask('DELETE', `/v1/sessions/${sessionId}`);
  expect([ended.status, await ended.json()]).toEqual([200, { reason: 'completed' }]);
  await restart?.();
  const gone = await http.ask('GET', events, last(frames));
  const { error } = (await gone.json()) as { error: { reason: string } };
  // Its hoster remembers for a while that it has ended, where a router still knows which one that was.
  expect([
    [400, 'SESSION_ENDED'],
    [404, 'SESSION_UNKNOWN'],
  ]).toContainEqual([gone.status, error.reason]);
});

test('a page that stays away for longer finds its turn at the hoster', async () => {
  const frames = 2000;
  const audio = variation(recording, 2, FRAME * frames);
  const sessions = async (): Promise<number> =>
    total(await scrape(http.gateway.admin), 'cabstand_gateway_sessions');
  const ids: (number | undefined)[] = [];
  const read = async (response: Response, upTo: number): Promise<void> => {
    for await (const { id } of sseEvents(response)) {
      if (id !== undefined) ids.push(id);
      if (ids.length >= upTo) return;
    }
  };
  const body = { ...silero(audio), session_id: 'away', durable: true };
  await read(await http.ask('POST', '/v1/sessions', { body }), 100);
  await until('the gateway to let go of it', async () => (await sessions()) === 0 || undefined);
  const headers = { 'last-event-id': String(ids.at(-1)) };
  await read(await http.ask('GET', '/v1/sessions/away/events', { headers }), Infinity);
  expect(ids).toEqual(positionsTo(frames + 1));
  expect((await http.ask('DELETE', '/v1/sessions/away')).status).toBe(200);
});

test('turns of a session one after another', async () => {
  const texts: string[] = [];
  const read = async (response: Response): Promise<readonly SseEvent[]> => {
    const events: SseEvent[] = [];
    for await (const event of sseEvents(response)) events.push(event);
    texts.push(textOf(events));
    return events.filter(({ id }) => id !== undefined);
  };
  const body = { model: 'g2p', prompt: 'taxi', session_id: 'words', durable: true };
  const first = await read(await http.ask('POST', '/v1/sessions', { body }));
  const again = { body: { prompt: 'rank' } };
  const second = await read(await http.ask('POST', '/v1/sessions/words/turns', again));
  expect(texts).toEqual(
    ['T AE1 K S IY0', 'R AE1 NG K'].map((text): unknown => expect.stringContaining(text)),
  );
  expect([...first, ...second].map(({ id }) => id)).toEqual(
    positionsTo(first.length + second.length),
  );
  expect((await http.ask('DELETE', '/v1/sessions/words')).status).toBe(200);
});

test('another turn, another reader and a command beside a turn that runs', async () => {
  // It runs for as long as its input goes on.
  const live = new Live(http.socketTo('/v1/sessions/live'), {
    ...http.microphone(),
    session_id: 'stopped',
  });
  await until('it to be open', () => live.socket.readyState === WebSocket.OPEN || undefined);
  live.socket.send(Buffer.alloc(4 * FRAME * 50));
  await until('50 records', () => live.chunks.length >= 50 || undefined);
  const busy = await http.ask('POST', '/v1/sessions/stopped/turns', { body: {} });
  expect(busy.status).toBe(409);
  expect(await busy.json()).toMatchObject({ error: { reason: 'SESSION_BUSY' } });
  const other = await http.ask('GET', '/v1/sessions/stopped/events');
  expect(await other.json()).toMatchObject({ error: { reason: 'SESSION_BUSY' } });
  const stop = await http.ask('POST', '/v1/sessions/stopped/commands', { body: { name: 'stop' } });
  expect([stop.status, await stop.json()]).toEqual([200, { result: { stopped: true } }]);
  expect(await live.closed).toBe(1000);
  expect(live.heard.at(-1)).toMatchObject({ type: 'end', reason: 'stopped' });
});

test('one turn, asked for as curl would', async () => {
  const events: SseEvent[] = [];
  const body = { model: 'g2p', prompt: 'taxi' };
  for await (const event of sseEvents(await http.ask('POST', '/v1/sessions', { body })))
    events.push(event);
  expect(events.map(({ type }) => type)).toEqual([
    'opened',
    ...Array.from({ length: 5 }, () => 'chunk'),
    'end',
  ]);
  expect(textOf(events)).toBe('T AE1 K S IY0');
});

test('what the documentation asks with curl is answered as it says', async () => {
  const outputs = await runCurlPage('docs/http.md', http);
  expect(outputs).toHaveLength(3);
  const ids = outputs.map((text) =>
    [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)),
  );
  expect(ids).toEqual([positionsTo(6), positionsTo(63), [...positionsTo(6), 3, 4, 5]]);
  expect(outputs[2]).toContain('{"reason":"completed"}');
});

test('models are listed', async () => {
  const { models } = (await (await http.ask('GET', '/v1/models')).json()) as {
    readonly models: readonly Record<string, unknown>[];
  };
  expect(models.map(({ name }) => name).sort()).toEqual(['g2p', 'silero-vad']);
  expect(models.find(({ name }) => name === 'silero-vad')).toMatchObject({
    state: 'ready',
    takes_live_input: true,
    inputs: [{ name: 'audio', dtype: 'float32', sample_rate: 16_000 }],
  });
});

test('live audio over a websocket: sigkill of the hoster; every record once', async () => {
  const frames = 900;
  const audio = variation(recording, 4, FRAME * frames);
  const name = 'microphone';
  const live = new Live(http.socketTo('/v1/sessions/live', ORIGIN), {
    ...http.microphone(),
    session_id: name,
  });
  const bytes = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength);
  const send = (from: number, to: number): void => {
    for (let at = from; at < to; at++)
      live.socket.send(bytes.subarray(at * FRAME * 4, (at + 1) * FRAME * 4));
  };
  await until('it to be open', () => live.socket.readyState === WebSocket.OPEN || undefined);
  send(0, 300);
  await until('200 records', () => live.chunks.length >= 200 || undefined);
  const restart = await killServing(name);
  send(300, frames);
  live.socket.send(JSON.stringify({ type: 'end_input' }));
  expect(await live.closed).toBe(1000);
  expect(live.heard.find(({ type }) => type === 'error')).toBeUndefined();
  const records = live.heard.filter(({ position }) => position !== undefined);
  // Each part that was taken is a record, too, and so is its end.
  expect(records.map(({ position }) => position)).toEqual(positionsTo(2 * frames + 2));
  expect(records.at(-1)).toMatchObject({ type: 'end', reason: 'completed' });
  const values = live.chunks.map((data) => probability({ id: undefined, type: 'chunk', data }));
  expect(Float32Array.from(values)).toEqual(
    await (await SileroReference.load()).probabilities(audio),
  );
  await restart();
});

test('pages of origins that are named may call, others may not', async () => {
  const preflight = await http.ask('OPTIONS', '/v1/sessions', {
    headers: { origin: ORIGIN, 'access-control-request-method': 'POST', authorization: '' },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  expect(preflight.headers.get('access-control-allow-headers')).toMatch(
    /authorization.*last-event-id/,
  );
  const models = await http.ask('GET', '/v1/models', { headers: { origin: ORIGIN } });
  expect([models.status, models.headers.get('access-control-allow-origin')]).toEqual([200, ORIGIN]);
  // What a page did wrong it may read, too.
  const wrong = await http.ask('POST', '/v1/sessions', { body: {}, headers: { origin: ORIGIN } });
  expect([wrong.status, wrong.headers.get('access-control-allow-origin')]).toEqual([400, ORIGIN]);
  for (const [method, body] of [['OPTIONS'], ['GET'], ['POST', {}]] as const) {
    const refused = await http.ask(method, method === 'GET' ? '/v1/models' : '/v1/sessions', {
      headers: { origin: 'https://elsewhere.example' },
      body,
    });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([
      403,
      null,
    ]);
    expect(await refused.json()).toMatchObject({ error: { reason: 'PERMISSION_DENIED' } });
  }
  const live = new Live(
    http.socketTo('/v1/sessions/live', 'https://elsewhere.example'),
    http.microphone(),
  );
  await live.closed;
  expect(live.heard).toEqual([]);
});
