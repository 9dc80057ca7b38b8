/** Modules of several turns for callers with nothing but HTTP. Needs a build. */
import { rmSync } from 'node:fs';
import { until } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { HttpGateway, START_MS } from '../support/http-gateway';
import { moduleRepository } from '../support/module-models';
import type { ModuleModel } from '../support/module-models';
import { sseEvents } from '../support/sse';
import type { SseEvent } from '../support/sse';

jest.setTimeout(120_000);

const FRAMES = 30;
const talk = (survival: 'none' | 'replay' | 'commit'): ModuleModel => ({
  program: 'talk.ts',
  manifest: {
    ...{ survival, prompt: true, messages: { cancelled: {} } },
    outputs: { y: { dtype: 'float32', shape: [5] } },
    parameters: {
      frames: { dtype: 'int64', default: FRAMES },
      pace: { dtype: 'int64', default: 5 },
    },
  },
});
const MODELS = { replays: talk('replay'), commits: talk('commit'), mortal: talk('none') };

let models: string;
let http: HttpGateway;

beforeAll(async () => {
  models = moduleRepository(MODELS);
  http = await HttpGateway.start({ models, hosters: 3, hosterConfig: { engines: { spares: 0 } } });
}, START_MS);

afterAll(async () => {
  await http[Symbol.asyncDispose]();
  rmSync(models, { recursive: true });
});

const post = (path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  http.ask('POST', `/v1/sessions${path}`, { body, ...(signal && { signal }) });

/** Events of a turn; `during` runs at its tenth frame. */
async function turnOf(response: Response, during: () => unknown = () => undefined) {
  expect(response.status).toBe(200);
  const events: SseEvent[] = [];
  let frames = 0;
  for await (const event of sseEvents(response)) {
    events.push(event);
    if (event.type === 'chunk' && ++frames === 10) await during();
  }
  return events;
}

const framesIn = (events: readonly SseEvent[]): number[][] =>
  events.flatMap(({ type, data }) =>
    type === 'chunk' ? [(data['tensors'] as { y: { data: number[] } }).y.data.slice(0, 4)] : [],
  );

const wholeTurn = (turn: number): unknown[] =>
  Array.from({ length: FRAMES }, (_, frame) => [turn, frame, expect.any(Number) as unknown, turn]);

/** Nobody starts it again: there are three. */
async function killServing(id: string): Promise<void> {
  await using client = new TestClient(http.subnet);
  const index = await until('a hoster to claim the session', async () => {
    const [node] = await client.remote.locate(id);
    const at = http.subnet.hosters.findIndex(({ address }) => address === node?.address);
    return at < 0 ? undefined : at;
  });
  const died = http.subnet.hosters[index]!;
  died.child.kill('SIGKILL');
  await died.child.exited;
}

test.each(['replays', 'commits'])(
  'turn after turn of a module that %s, each record once over the death of its hoster',
  async (model) => {
    const id = `turns-${model}`;
    const events: SseEvent[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const more = turn === 3 ? { prompt: 'last' } : {};
      const response =
        turn === 0
          ? await post('', { model, session_id: id, durable: true })
          : await post(`/${id}/turns`, { turn, ...more });
      let killed: Promise<void> | undefined;
      const seen = await turnOf(response, async () => {
        if (turn === 1) killed = killServing(id);
        else {
          const answer = await post(`/${id}/commands`, { name: 'add', arguments: { by: 1 } });
          expect(await answer.json()).toMatchObject({ result: { sum: turn === 0 ? 1 : turn } });
        }
      });
      await killed;
      expect(framesIn(seen)).toEqual(wholeTurn(turn));
      const end = seen.at(-1)?.data;
      expect(end).toMatchObject({ type: 'end', turn, reason: 'completed' });
      expect(end?.['goes_on']).toBe(turn < 3 ? true : undefined);
      events.push(...seen);
    }
    const positions = events.flatMap(({ id: position }) =>
      position === undefined ? [] : [position],
    );
    expect(positions).toEqual(Array.from(positions, (_, index) => index));
    const after = await post(`/${id}/turns`, {});
    expect(await after.json()).toMatchObject({ error: { reason: 'SESSION_ENDED' } });
  },
);

test.each(Object.keys(MODELS))(
  'a reader of %s that goes ends its turn and no more',
  async (model) => {
    const id = `left-${model}`;
    const page = new AbortController();
    const first = await post('', { model, session_id: id }, page.signal);
    await expect(turnOf(first, () => page.abort())).rejects.toThrow();
    const next = await until('the next turn to begin', async () => {
      const response = await post(`/${id}/turns`, { prompt: 'last' });
      if (response.ok) return response;
      expect(await response.json()).toMatchObject({ error: { reason: 'SESSION_BUSY' } });
      return undefined;
    });
    expect(framesIn(await turnOf(next))).toEqual(wholeTurn(1));
  },
);

test('a page that comes back in a later turn has each record of it once', async () => {
  const id = 'back';
  await turnOf(await post('', { model: 'replays', session_id: id, durable: true }));
  const page = new AbortController();
  const records: SseEvent[] = [];
  const response = await post(`/${id}/turns`, { turn: 1 }, page.signal);
  for await (const event of sseEvents(response)) {
    if (event.id !== undefined) records.push(event);
    if (records.length === 10) break;
  }
  page.abort();
  const headers = { 'last-event-id': String(records.at(-1)?.id) };
  const rest = await http.ask('GET', `/v1/sessions/${id}/events`, { headers });
  records.push(...(await turnOf(rest)));
  expect(framesIn(records)).toEqual(wholeTurn(1));
  const ended = await http.ask('DELETE', `/v1/sessions/${id}`);
  expect(ended.status).toBe(200);
});

test('modules are no models of OpenAI', async () => {
  const messages = [{ role: 'user', content: 'hello' }];
  const body = { model: 'replays', messages };
  const answer = await http.ask('POST', '/v1/chat/completions', { body });
  expect({ status: answer.status, body: await answer.text() }).toEqual({
    status: 400,
    body: expect.stringContaining('language model') as string,
  });
});
