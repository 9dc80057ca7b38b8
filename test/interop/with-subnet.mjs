// Runs a command beside a subnet of one router and two hosters; `SUBNET` (JSON) tells it where they are.
// SUBNET_OPTIONS: how the subnet differs from the standard one, as JSON of `SubnetOptions`.
// GATEWAY: settings of a gateway before it, as JSON. Default: there is none.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

// Workspaces are CommonJS, and found from the package that depends on them.
const require = createRequire(new URL('../package.json', import.meta.url));
const { issueToken } = require('@cabstand/auth-admin');
const { REPOSITORY_ROOT, Subnet } = require('@cabstand/testing');
const { Gateway } = require('./dist/support/gateway.js');

const [program, ...args] = process.argv.slice(2);
const subnet = await Subnet.start(JSON.parse(process.env.SUBNET_OPTIONS ?? '{}'));
let gateway;
const stopAll = async () => {
  await gateway?.[Symbol.asyncDispose]();
  await subnet.stop();
};
const stop = () => void stopAll().then(() => process.exit(130));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

const httpOf = ({ child }) => {
  const port = /"http_port":(\d+)/.exec(child.output)?.[1];
  return port === undefined ? undefined : `127.0.0.1:${port}`;
};

let code;
try {
  if (process.env.GATEWAY) gateway = await Gateway.start(subnet, JSON.parse(process.env.GATEWAY));
  const services = [subnet.routers[0], ...subnet.hosters, ...(gateway ? [gateway] : [])];
  const audience = services.map(({ address }) => address);
  const described = {
    router: subnet.routers[0].address,
    hosters: subnet.hosters.map(({ address }) => address),
    token: await issueToken({ folder: subnet.keys, subject: 'client', audience }),
    other_token: await issueToken({ folder: subnet.keys, subject: 'somebody-else', audience }),
    admin_token: await issueToken({
      folder: subnet.keys,
      subject: 'admin',
      roles: ['admin'],
      audience,
    }),
    http: subnet.hosters.map(httpOf),
    // To see which one works, and to kill it.
    processes: subnet.hosters.map(({ admin, child }) => ({ admin, pid: child.pid })),
    ...(gateway && { gateway: { address: gateway.address, http: httpOf(gateway) } }),
    assets: path.join(REPOSITORY_ROOT, 'test/assets'),
  };
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: { ...process.env, SUBNET: JSON.stringify(described) },
  });
  code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? 1));
  });
} finally {
  await stopAll();
}
process.exit(code);
