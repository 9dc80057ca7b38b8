import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { Folder } from '../folder.fixture';
import { findingText } from '../render/finding';
import { createStyle } from '../render/style';
import type { Connection } from '../subnet/connection';
import { checkManifests } from './models';
import { checkVersion } from './node';
import { checkPorts } from './ports';
import { checkSubnet } from './subnet';

const folder = new Folder();
afterAll(() => folder.remove());

test.each([
  ['20.19.0', 'ok'],
  ['24.1.0', 'ok'],
  ['20.18.3', 'fail'],
  ['18.20.0', 'fail'],
])('Node %s is %s', (version, status) => {
  expect(checkVersion(version).status).toBe(status);
});

test('the bundled models are valid; a broken one is named with its key', async () => {
  const bundled = await checkManifests(path.resolve(__dirname, '../../../../models'));
  expect(bundled.map(({ name }) => name)).toContain('model plasma');
  expect(bundled.filter(({ status }) => status !== 'ok')).toEqual([]);
  mkdirSync(path.join(folder.path, 'bad', '1'), { recursive: true });
  writeFileSync(path.join(folder.path, 'bad', 'model.yaml'), 'nam: bad\nkind: odd\n');
  expect(await checkManifests(folder.path)).toEqual([
    expect.objectContaining({
      status: 'fail',
      name: 'model bad',
      message: expect.stringMatching(/kind[^]*nam:/) as string,
    }),
  ]);
  expect(await checkManifests('/nowhere')).toEqual([expect.objectContaining({ status: 'fail' })]);
});

test('a port that somebody else has is a warning with a way out', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await checkPorts([port])).toEqual([
    expect.objectContaining({
      status: 'warn',
      name: `port ${port}`,
      advice: expect.stringContaining('--port') as string,
    }),
  ]);
  await new Promise((resolve) => server.close(resolve));
  expect(await checkPorts([port])).toEqual([expect.objectContaining({ status: 'ok' })]);
});

describe('the subnet', () => {
  const NOW = 1_700_000_000_000;
  const node = (
    id: string,
    heartbeatMs: number,
    state: v1.NodeInfo__Output['state'] = 'NODE_STATE_ONLINE',
  ) =>
    ({
      node_id: id,
      address: `${id}:50051`,
      state,
      last_heartbeat: { seconds: Math.floor(heartbeatMs / 1000), nanos: 0 },
    }) as v1.NodeInfo__Output;
  const answering = (nodes: readonly v1.NodeInfo__Output[] | CabstandError, info?: CabstandError) =>
    ({
      routers: ['r:50050'],
      nodesOf: async () => {
        if (nodes instanceof CabstandError) throw nodes;
        return nodes;
      },
      info: async (address: string) => {
        if (info !== undefined) throw info;
        return { version: '0.1.0', models: [], node_id: address.split(':')[0] };
      },
    }) as unknown as Connection;
  const check = async (connection: Connection, configured = true) =>
    (await checkSubnet(connection, { configured, nowMs: NOW })).findings;

  test('that is well is ok in all parts', async () => {
    const findings = await check(answering([node('a', NOW - 1000), node('b', NOW - 500)]));
    expect(findings.map(({ status, name }) => `${status} ${name}`)).toEqual([
      'ok router r:50050',
      'ok clock r:50050',
      'ok hoster a:50051',
      'ok hoster b:50051',
    ]);
  });

  test('that is not there fails only when somebody configured it', async () => {
    const gone = answering(new CabstandError('ROUTER_UNREACHABLE', 'no router answers'));
    expect(await check(gone)).toEqual([expect.objectContaining({ status: 'fail' })]);
    expect(await check(gone, false)).toEqual([expect.objectContaining({ status: 'ok' })]);
  });

  test('that refuses says why', async () => {
    const refusing = answering(new CabstandError('CREDENTIALS_EXPIRED', 'expired'));
    expect(await check(refusing, false)).toEqual([
      expect.objectContaining({ status: 'fail', message: 'refused: expired' }),
    ]);
  });

  test.each([
    [NOW + 90_000, /90\.0 s behind it/],
    [NOW - 120_000, /2 min ahead of it/],
  ])('a clock that is off is named (%i)', async (heartbeat, message) => {
    const findings = await check(answering([node('a', heartbeat)]));
    expect(findings.find(({ name }) => name === 'clock r:50050')?.message).toMatch(message);
  });

  test('a hoster that nobody reaches fails, one that is OFFLINE is not asked', async () => {
    const unreachable = new CabstandError('NODE_UNREACHABLE', 'no connection');
    const nodes = [node('a', NOW), node('b', NOW, 'NODE_STATE_OFFLINE')];
    const findings = await check(answering(nodes, unreachable));
    expect(findings.filter(({ name }) => name.startsWith('hoster'))).toEqual([
      expect.objectContaining({ status: 'fail', name: 'hoster a:50051' }),
    ]);
  });
});

describe('a subnet of several parts', () => {
  const at = (nodes: Record<string, string[] | undefined>, answers: Record<string, string> = {}) =>
    ({
      routers: Object.keys(nodes),
      nodesOf: async (router: string) => {
        const known = nodes[router];
        if (known === undefined) throw new CabstandError('NODE_UNREACHABLE', 'no connection');
        return known.map((id) => ({
          ...{ node_id: id, address: `${id}:50051`, state: 'NODE_STATE_ONLINE' },
          last_heartbeat: null,
        }));
      },
      info: async (address: string) => ({
        ...{ version: '0.1.0', models: [] },
        node_id: answers[address] ?? address.split(':')[0],
      }),
    }) as unknown as Connection;

  test('each router is asked, and hosters that one of them knows are looked at', async () => {
    const { findings, called } = await checkSubnet(
      at({ 'r1:1': ['a'], 'r2:1': undefined, 'r3:1': ['a', 'b'] }),
      { configured: true },
    );
    expect(findings.map(({ status, name }) => `${status} ${name}`)).toEqual([
      'ok router r1:1',
      'fail router r2:1',
      'ok router r3:1',
      'ok hoster a:50051',
      'ok hoster b:50051',
    ]);
    expect(called).toEqual(['r1:1', 'r2:1', 'r3:1', 'a:50051', 'b:50051']);
  });

  test('another hoster at an advertised address is told from the one that advertises it', async () => {
    const { findings } = await checkSubnet(at({ 'r:1': ['a'] }, { 'a:50051': 'b' }), {
      configured: true,
    });
    expect(findings.at(-1)).toMatchObject({
      status: 'fail',
      name: 'hoster a:50051',
      message: 'a advertises this address, and b answers there',
    });
  });
});

test('advice of several lines is shown as such', () => {
  const finding = { name: 'router', message: 'refused\nso', advice: 'Try.\n  Or not.' };
  expect(findingText({ ...finding, status: 'fail' }, createStyle(false))).toBe(
    'FAIL  router: refused\n      so\n      → Try.\n        Or not.\n',
  );
});
