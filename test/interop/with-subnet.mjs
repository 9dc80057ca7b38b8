// Runs a command beside a subnet of one router and two hosters; `SUBNET` (JSON) tells it where they are.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

// Workspaces are CommonJS, and found from the package that depends on them.
const require = createRequire(new URL('../package.json', import.meta.url));
const { issueToken } = require('@cabstand/auth');
const { REPOSITORY_ROOT, Subnet } = require('@cabstand/testing');

const [program, ...args] = process.argv.slice(2);
const subnet = await Subnet.start();
const stop = () => void subnet.stop().then(() => process.exit(130));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);

let code;
try {
  const audience = [subnet.routers[0], ...subnet.hosters].map(({ address }) => address);
  const described = {
    router: subnet.routers[0].address,
    hosters: subnet.hosters.map(({ address }) => address),
    token: await issueToken({ folder: subnet.keys, subject: 'client', audience }),
    other_token: await issueToken({ folder: subnet.keys, subject: 'somebody-else', audience }),
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
  await subnet.stop();
}
process.exit(code);
