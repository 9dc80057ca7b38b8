/** Who did what is in the audit log, and what callers send to models is in no log. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { HosterService, RouterService, RpcClient } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { Subnet, refusalOf, until } from '@cabstand/testing';

const MARKER = 'xyzzyplugh';
const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-audit-'));
const fileOf = (name: string): string => path.join(folder, `${name}.log`);

let subnet: Subnet;
beforeAll(async () => {
  const log = { level: 'trace' };
  subnet = await Subnet.start({
    hosters: 1,
    routerConfig: { log, audit: { file: fileOf('router') } },
    readyMs: 200_000,
    hosterConfig: { log, audit: { file: fileOf('hoster') }, only: ['g2p', 'plasma'] },
  });
}, 210_000);
afterAll(async () => {
  await (subnet as Subnet | undefined)?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const read = (name: string): Record<string, unknown>[] =>
  readFileSync(fileOf(name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('sessions, drains and loads have a line each, and no log has what was sent', async () => {
  const [service] = subnet.hosters;
  const address = service!.address;
  const options = { authorizer: subnet.authorizer('client') };
  const remote = new RemoteManager({ routers: subnet.routerAddresses, ...options });
  const sessions = new SessionManager(remote, options);
  const asClient = new RpcClient(address, options);
  const asAdmin = new RpcClient(address, { authorizer: subnet.authorizer('admin') });
  const router = new RpcClient(subnet.routerAddresses[0]!, {
    authorizer: subnet.authorizer('admin'),
  });
  try {
    await until(
      'the hoster',
      async () => (await remote.nodes())[0]?.state === 'online' || undefined,
    );
    // A prompt that is taken, and ones that are refused in each place that looks at it.
    const session = sessions.session({ model: 'g2p', id: 'ride-1' });
    for await (const chunk of session.runProtocolTask(MARKER)) expect(chunk).toBeDefined();
    const inputs = [toWire(tensorOf(MARKER, new Float32Array(4)))];
    const refused = [
      { model: 'g2p', prompt: `${MARKER}1!` },
      { model: 'g2p', prompt: MARKER, parameters: `{"${MARKER}": "${MARKER}"}` },
      { model: 'g2p', prompt: MARKER, parameters: `{${MARKER}` },
      { model: 'g2p', inputs },
      { model: 'g2p', prompt: MARKER.repeat(100_000) },
    ];
    for (const request of refused) {
      const stream = asClient.serverStream(HosterService.rpc_inference_stream, request);
      await refusalOf(
        (async () => {
          for await (const event of stream) expect(event).toBeDefined();
        })(),
      );
    }
    // Arguments of commands, to a session that is there and to one that is not.
    for (const session_id of ['ride-1', 'ride-2'])
      for (const name of ['stop', 'pause', 'none'])
        await asClient
          .unary(HosterService.rpc_session_update, {
            session_id,
            command: { name, sequence: -1, arguments: JSON.stringify({ secret: MARKER }) },
          })
          .catch(() => undefined);
    await asAdmin.unary(HosterService.rpc_unload_model, { model: 'plasma' });
    await asAdmin.unary(HosterService.rpc_load_model, { model: 'plasma' }, { timeoutMs: 60_000 });
    await refusalOf(asClient.unary(HosterService.rpc_unload_model, { model: 'g2p' }));
    const [node] = await remote.nodes();
    await sessions.close();
    await router.unary(RouterService.rpc_drain, { node_id: node!.nodeId });
    await until('the hoster to end', () => !service!.child.running || undefined, {
      timeoutMs: 30_000,
    });
    expect(read('router')).toMatchObject([
      { msg: 'node_drained', principal: 'admin', node: node!.nodeId, outcome: 'done' },
    ]);
    const found = read('hoster');
    const opened = found.find((line) => line['session_id'] === 'ride-1');
    expect(opened).toMatchObject({ msg: 'session_opened', principal: 'client', model: 'g2p' });
    expect(
      found.filter(({ msg }) => msg === 'model_unloaded' || msg === 'model_loaded'),
    ).toMatchObject([
      { msg: 'model_unloaded', principal: 'admin', model: 'plasma', outcome: 'done' },
      { msg: 'model_loaded', principal: 'admin', model: 'plasma', outcome: 'done' },
    ]);
    expect(
      found.some(({ msg, session_id: id }) => msg === 'session_ended' && id === 'ride-1'),
    ).toBe(true);
    for (const { child } of [...subnet.routers, ...subnet.hosters]) {
      // It is the log at its most talkative that was looked at.
      expect(child.output).toContain('"level":"debug"');
      expect(child.output.includes(MARKER)).toBe(false);
    }
    for (const name of ['router', 'hoster'])
      expect(readFileSync(fileOf(name), 'utf8').includes(MARKER)).toBe(false);
  } finally {
    for (const client of [asClient, asAdmin, router]) client.close();
    await remote.close();
  }
}, 120_000);
