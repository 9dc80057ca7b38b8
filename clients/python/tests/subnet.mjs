// A subnet of real processes for tests in other languages: one JSON line in asks for something, one line out
// answers it. The first line out says where everything is; the end of the input ends the subnet.
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';

// Workspaces are CommonJS, and found from a package that depends on them.
const require = createRequire(new URL('../../../test/package.json', import.meta.url));
const { issueToken } = require('@cabstand/auth-admin');
const {
  BUNDLED_MODELS,
  LANGUAGE_MODELS,
  REPOSITORY_ROOT,
  Subnet,
  TEST_MODELS,
} = require('@cabstand/testing');

// `only`: models to serve, of those for tests, too.
const { only, hosterConfig = {}, ...options } = JSON.parse(process.argv[2] ?? '{}');
const folders = [BUNDLED_MODELS, TEST_MODELS, LANGUAGE_MODELS];
const served = only === undefined ? {} : { models: folders, only };
const subnet = await Subnet.start({ ...options, hosterConfig: { ...hosterConfig, ...served } });
const servers = () => [...subnet.routers, ...subnet.hosters];

function listOf({ group, index }) {
  return [group === 'router' ? subnet.routers : subnet.hosters, Number(index)];
}

const actions = {
  describe: () => ({
    routers: subnet.routers.map(({ dialled, child }) => ({ address: dialled, pid: child.pid })),
    hosters: subnet.hosters.map(({ dialled, child }) => ({ address: dialled, pid: child.pid })),
    keys: subnet.keys,
    assets: path.join(REPOSITORY_ROOT, 'test/assets'),
  }),
  token: async ({ subject }) =>
    issueToken({ folder: subnet.keys, subject, audience: servers().map((one) => one.dialled) }),
  /** `signal` to one process. SIGTERM and SIGKILL are waited for. */
  signal: async ({ signal, ...which }) => {
    const [list, index] = listOf(which);
    list[index].child.kill(signal);
    if (signal === 'SIGTERM' || signal === 'SIGKILL') await list[index].child.exited;
    return null;
  },
  /** Starts it again at the same address; answers once it is ready. */
  start: async (which) => {
    const [list, index] = listOf(which);
    const start = which.group === 'router' ? 'startRouter' : 'startHoster';
    list[index] = await subnet[start](index, list[index]);
    await subnet.ready(list[index]);
    return list[index].child.pid;
  },
  reset: (which) => {
    const [list, index] = listOf(which);
    list[index].proxy.reset();
    return null;
  },
  output: (which) => {
    const [list, index] = listOf(which);
    return list[index].child.output;
  },
};

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
tell({ id: 0, value: actions.describe() });

let ending;
const stop = () => (ending ??= subnet.stop().finally(() => process.exit(0)));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
const lines = createInterface({ input: process.stdin });
lines.on('close', stop);
lines.on('line', (line) => {
  const { id, action, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => actions[action](rest))
    .then((value) => tell({ id, value }))
    .catch((error) => tell({ id, error: String(error?.message ?? error) }));
});
