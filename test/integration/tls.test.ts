/** A subnet that speaks TLS, dialled by address. */
import path from 'node:path';
import { Child, REPOSITORY_ROOT, Subnet, TEST_MODELS } from '@cabstand/testing';

const CLIENT = `
const { RemoteManager, SessionManager, channelCredentials, createClientAuthorizer, authConfigSchema } = require('@cabstand/client');
const { routers, auth, tls } = JSON.parse(process.argv[1]);
(async () => {
  const remote = new RemoteManager({
    routers,
    authorizer: createClientAuthorizer(authConfigSchema.parse(auth)),
    credentials: channelCredentials(tls),
  });
  const sessions = new SessionManager(remote);
  const session = await sessions.session({ model: 'accumulator' });
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
