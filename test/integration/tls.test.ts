/** A subnet that speaks TLS, dialled by address. */
import path from 'node:path';
import { connect } from 'node:tls';
import { renewCertificate, subnetPaths } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager, channelCredentials } from '@cabstand/client';
import { Child, REPOSITORY_ROOT, Subnet, TEST_MODELS, until } from '@cabstand/testing';

const CLIENT = `
const { authConfigSchema, createClientAuthorizer } = require('@cabstand/auth-admin');
const { RemoteManager, SessionManager, channelCredentials } = require('@cabstand/client');
const { routers, auth, tls } = JSON.parse(process.argv[1]);
(async () => {
  const remote = new RemoteManager({
    routers,
    authorizer: createClientAuthorizer(authConfigSchema.parse(auth)),
    credentials: channelCredentials(tls),
  });
  const sessions = new SessionManager(remote);
  const session = sessions.session({ model: 'accumulator' });
  for await (const chunk of session.runProtocolTask(undefined, { signal: new Float32Array(8) })) console.log(chunk.index);
  await sessions.close();
  await remote.close();
})();
`;

test('calls by address are served, and nobody prints a warning of Node', async () => {
  await using subnet = await Subnet.start({
    tls: true,
    hosters: 1,
    verifyServers: true,
    models: TEST_MODELS,
    hosterConfig: { only: ['accumulator'] },
  });
  const job = {
    routers: subnet.routerAddresses,
    auth: subnet.authConfig('client'),
    tls: subnet.clientTls,
  };
  await using client = new Child('client', ['-e', CLIENT, '--', JSON.stringify(job)], {
    NODE_PATH: path.join(REPOSITORY_ROOT, 'node_modules'),
  });
  expect(await client.exited).toEqual({ code: 0, signal: null });
  expect(client.output.split('\n')).toEqual(['0', '1']);
  for (const { child } of [...subnet.routers, ...subnet.hosters])
    expect(child.output).not.toMatch(/Warning/);
}, 60_000);

/** The serial number of the certificate that a server shows to a new connection. */
function serialAt(address: string): Promise<string> {
  const port = Number(address.split(':').at(-1));
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false };
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    }).on('error', reject);
  });
}

test('certificates are bound to principals, and renewed under a session that is open', async () => {
  // Relative to the configuration's file, which is beside the folder of keys.
  const paths = subnetPaths('keys');
  const tls = (name: string) => ({
    tls: {
      cert: paths.cert(name),
      key: paths.certKey(name),
      ca: paths.ca,
      require_client_cert: true,
      bind_principal: true,
    },
  });
  await using subnet = await Subnet.start({
    hosters: 1,
    models: TEST_MODELS,
    routerConfig: tls('router'),
    hosterConfig: { only: ['accumulator'], ...tls('hoster') },
  });
  const own = subnetPaths(subnet.keys);
  const as = (member: string) =>
    new RemoteManager({
      routers: subnet.routerAddresses,
      authorizer: subnet.authorizer(member),
      credentials: channelCredentials({
        ca: own.ca,
        cert: own.cert('client'),
        key: own.certKey('client'),
      }),
    });
  const remote = as('client');
  const sessions = new SessionManager(remote);
  const session = sessions.session({ model: 'accumulator' });
  const turn = async (of: typeof session): Promise<number[]> => {
    const seen: number[] = [];
    for await (const chunk of of.runProtocolTask(undefined, { signal: new Float32Array(8) }))
      seen.push(chunk.index);
    return seen;
  };
  expect(await turn(session)).toHaveLength(2);

  const stranger = as('admin');
  const refused = new SessionManager(stranger);
  await expect(turn(refused.session({ model: 'accumulator' }))).rejects.toMatchObject({
    reason: 'PERMISSION_DENIED',
  });
  await refused.close();
  await stranger.close();

  for (const [name, service] of [
    ['hoster', subnet.hosters[0]],
    ['router', subnet.routers[0]],
  ] as const) {
    const address = service?.address ?? '';
    const before = await serialAt(address);
    await renewCertificate({ folder: subnet.keys, name });
    await until(`${name} to show its new certificate`, async () =>
      (await serialAt(address)) === before ? undefined : true,
    );
  }
  expect(await turn(session)).toHaveLength(2);
  await sessions.close();
  await remote.close();
}, 60_000);
