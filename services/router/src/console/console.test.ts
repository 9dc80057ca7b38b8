/** The console over real HTTP: who is let in, who is refused, and with which words. */
import { request } from 'node:http';
import { HOSTER, beat, claim, join } from '../core.fixture';
import { ConsoleRig, nextEvent } from './console.fixture';
import type { Hello, NodePage, Snapshot } from './view';

const JSON_TYPE = { 'content-type': 'application/json' };

function follow(response: Response): ReadableStreamDefaultReader<string> {
  return response.body!.pipeThrough(new TextDecoderStream()).getReader();
}

function drain(url: string, headers: Record<string, string>, body: unknown): Promise<Response> {
  return fetch(`${url}/drain`, { method: 'POST', headers, body: JSON.stringify(body) });
}

/** With headers that `fetch` does not let anybody set. */
function statusWith(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    })
      .on('error', reject)
      .end();
  });
}

test('the page is there for all, with nothing from elsewhere and nothing of the subnet', async () => {
  await using rig = await ConsoleRig.start();
  const page = await fetch(rig.url);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toContain('text/html');
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain('unsafe');
  const text = await page.text();
  expect(text).not.toMatch(/https?:\/\//);
  expect(text).not.toMatch(/<script(?![^>]*src=)| on[a-z]+=| style=/);
  for (const name of ['..%2fpackage.json', '../package.json', 'tsconfig.json', 'nothing.js'])
    expect((await fetch(`${rig.url}/${name}`)).status).toBe(404);
});

test('who brings no token, a wrong one, or one for another server is told so and sees nothing', async () => {
  await using rig = await ConsoleRig.start();
  for (const path of ['events', 'nodes']) {
    const bare = await fetch(`${rig.url}/${path}`);
    expect(bare.status).toBe(401);
    expect(bare.headers.get('www-authenticate')).toContain('Bearer');
    expect(await bare.json()).toMatchObject({ reason: 'CREDENTIALS_MISSING' });
    const odd = await fetch(`${rig.url}/${path}`, { headers: { authorization: 'Bearer x.y.z' } });
    expect(odd.status).toBe(401);
    const elsewhere = await fetch(`${rig.url}/${path}`, {
      headers: await rig.as('client', 'hoster.test:50051'),
    });
    expect(elsewhere.status).toBe(401);
    expect(await elsewhere.json()).toMatchObject({ reason: 'CREDENTIALS_AUDIENCE' });
  }
});

test('a member that may not list nodes may not see the console', async () => {
  await using rig = await ConsoleRig.start();
  const refused = await fetch(`${rig.url}/events`, { headers: await rig.as('hoster') });
  expect(refused.status).toBe(403);
  const said = (await refused.json()) as { readonly reason: string; readonly message: string };
  expect(said.reason).toBe('PERMISSION_DENIED');
  expect(said.message).toContain('role');
});

test('a client sees the nodes as they are and as they change', async () => {
  await using rig = await ConsoleRig.start();
  join(rig.core, 'a');
  const response = await fetch(`${rig.url}/events`, { headers: await rig.as('client') });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const reader = follow(response);
  const hello = (await nextEvent(reader, 'hello')) as Hello;
  expect(hello).toMatchObject({ principal: 'client', admin: false });
  await rig.clock.advance(1000);
  const first = (await nextEvent(reader, 'snapshot')) as Snapshot;
  expect(first.rows).toMatchObject([{ id: 'a', state: 'ONLINE', models: ['m'] }]);
  expect(first.models).toMatchObject([{ name: 'm', classes: ['exact'], providers: ['cpu'] }]);
  expect(first.gateways).toBeNull();
  rig.core.drain('a', undefined);
  await rig.clock.advance(1000);
  const second = (await nextEvent(reader, 'snapshot')) as Snapshot;
  expect(second.rows).toMatchObject([{ id: 'a', state: 'DRAINING', drains: true }]);
  expect(second.happenings[0]?.text).toContain('a: ONLINE → DRAINING');
  await reader.cancel();
});

test('only administrators drain, and it is written down who did', async () => {
  await using rig = await ConsoleRig.start();
  join(rig.core, 'a');
  const body = { node_id: 'a' };
  expect((await drain(rig.url, JSON_TYPE, body)).status).toBe(401);
  const client = { ...JSON_TYPE, ...(await rig.as('client')) };
  expect((await drain(rig.url, client, body)).status).toBe(403);
  expect(rig.core.nodes.get('a')?.state.kind).toBe('ONLINE');
  const admin = { ...JSON_TYPE, ...(await rig.as('admin')) };
  const drained = await drain(rig.url, admin, body);
  expect(drained.status).toBe(200);
  expect(await drained.json()).toMatchObject({ id: 'a', state: 'DRAINING', drains: true });
  const back = await drain(rig.url, admin, { ...body, undo: true });
  expect(await back.json()).toMatchObject({ id: 'a', drains: false });
  const unknown = await drain(rig.url, admin, { node_id: 'b' });
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ reason: 'NODE_UNKNOWN' });
  expect(rig.audits).toMatchObject([
    { event: 'node_drained', facts: { principal: 'admin', node: 'a', outcome: 'done' } },
    { event: 'node_undrained', facts: { node: 'a', outcome: 'done' } },
    { event: 'node_drained', facts: { node: 'b', outcome: 'NODE_UNKNOWN' } },
  ]);
});

test('where a session is only administrators are told', async () => {
  await using rig = await ConsoleRig.start();
  join(rig.core, 'a');
  rig.core.heartbeat(beat('a', { sessionsOpened: [claim('s')] }), HOSTER);
  const ask = async (who: string, id: string): Promise<Response> =>
    fetch(`${rig.url}/session?id=${id}`, { headers: await rig.as(who) });
  expect((await fetch(`${rig.url}/session?id=s`)).status).toBe(401);
  expect((await ask('client', 's')).status).toBe(403);
  expect(await (await ask('admin', 's')).json()).toMatchObject([{ now: [{ node: 'a' }] }]);
  expect(await (await ask('admin', 'unknown')).json()).toEqual([]);
  const odd = await ask('admin', encodeURIComponent('a b'));
  expect(odd.status).toBe(400);
  expect(await odd.json()).toMatchObject({ reason: 'INVALID_ARGUMENT' });
});

test('requests that are not as they should be are refused with what is wrong', async () => {
  await using rig = await ConsoleRig.start();
  const admin = await rig.as('admin');
  expect((await drain(rig.url, { ...admin, 'content-type': 'text/plain' }, {})).status).toBe(415);
  const odd = await drain(rig.url, { ...admin, ...JSON_TYPE }, { node: 'a' });
  expect(odd.status).toBe(400);
  expect(JSON.stringify(await odd.json())).toContain('node_id');
  const large = await drain(rig.url, { ...admin, ...JSON_TYPE }, { node_id: 'x'.repeat(5000) });
  expect(large.status).toBe(413);
  expect((await fetch(`${rig.url}/drain`, { headers: admin })).status).toBe(405);
  expect((await fetch(`${rig.url}/nodes?from=-1`, { headers: admin })).status).toBe(400);
  const long = await fetch(`${rig.url}/nodes?find=${'x'.repeat(200)}`, { headers: admin });
  expect(long.status).toBe(400);
});

test('nodes are found by their names, a page at a time', async () => {
  await using rig = await ConsoleRig.start();
  for (let i = 0; i < 120; i++) join(rig.core, `n${String(i).padStart(3, '0')}`);
  const headers = await rig.as('client');
  const page = async (query: string): Promise<NodePage> =>
    (await (await fetch(`${rig.url}/nodes?${query}`, { headers })).json()) as NodePage;
  const last = await page('from=100');
  expect(last.found).toBe(120);
  expect(last.rows.map(({ id }) => id)).toHaveLength(20);
  expect(last.rows[0]?.id).toBe('n100');
  expect(await page('find=n07')).toMatchObject({ found: 10 });
});

test('pages of nodes are so many a second, and who asks for more hears when to come again', async () => {
  await using rig = await ConsoleRig.start();
  const headers = await rig.as('client');
  const page = (): Promise<Response> => fetch(`${rig.url}/nodes`, { headers });
  for (let i = 0; i < 20; i++) expect((await page()).status).toBe(200);
  const refused = await page();
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('1');
  await rig.clock.advance(1000);
  expect((await page()).status).toBe(200);
});

test('one principal has half of the viewers at most', async () => {
  await using rig = await ConsoleRig.start();
  const watch = async (member: string): Promise<number> =>
    (await fetch(`${rig.url}/events`, { headers: await rig.as(member) })).status;
  expect([await watch('client'), await watch('client'), await watch('client')]).toEqual([
    200, 200, 429,
  ]);
  expect(await watch('admin')).toBe(200);
});

test('a router that stops says so to those who watch', async () => {
  await using rig = await ConsoleRig.start();
  const response = await fetch(`${rig.url}/events`, { headers: await rig.as('client') });
  rig.stopping.abort();
  expect(await nextEvent(follow(response), 'end')).toHaveProperty('reason');
});

describe('without authentication', () => {
  test('whoever is on the machine is let in, and other pages in their browsers are not', async () => {
    await using rig = await ConsoleRig.start('none');
    join(rig.core, 'a');
    const nodes = `${rig.url}/nodes`;
    expect(await statusWith(nodes, {})).toBe(200);
    expect(await statusWith(nodes, { 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await statusWith(nodes, { 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await statusWith(nodes, { 'sec-fetch-site': 'same-site' })).toBe(403);
    // A name that an attacker has made point here.
    expect(await statusWith(nodes, { host: 'rebound.example:8050' })).toBe(403);
    expect(await statusWith(nodes, { host: 'localhost:8050' })).toBe(200);
    expect((await drain(rig.url, {}, { node_id: 'a' })).status).toBe(415);
    expect((await drain(rig.url, JSON_TYPE, { node_id: 'a' })).status).toBe(200);
  });
});
