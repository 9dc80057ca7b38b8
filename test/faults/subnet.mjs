// A subnet for clients of other languages: routers and hosters as processes, behind proxies, which the test
// hurts by commands, and gateways where `gateways` says how many. Commands come as lines of JSON on standard input, answers go to standard output: first where
// everything is, then one line for each command, with its `id`. It ends when its input does.
//
//   {"id": 1, "fault": {"kind": "kill-hoster", "downMs": 500}, "hoster": 0, "model": "g2p"}
//   {"id": 2, "seed": 7, "faults": 15, "busy": {"127.0.0.1:50051": ["g2p"]}, "engineless": []}
//                                                                  the next fault of the schedule of a seed
//                                                                  (every third one strikes a gateway that has
//                                                                  streams by `busy`, where there is one)
//   {"id": 3, "mend": true}                                        waits until everything is whole
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { Gateways } from './gateways.mjs';

// Workspaces are CommonJS, and found from the package that depends on them.
const require = createRequire(new URL('../package.json', import.meta.url));
const { REPOSITORY_ROOT, BUNDLED_MODELS, TEST_MODELS, Subnet } = require('@cabstand/testing');
const { TestNode } = require('./dist/faults/node');
const { inflict } = require('./dist/faults/inflict');
const { Random } = require('./dist/faults/random');
const { dueKinds, nextStep, WEIGHTS } = require('./dist/faults/schedule');

const { gateways: gatewayCount = 0, ...options } = JSON.parse(process.argv[2] ?? '{}');
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const subnet = await Subnet.start({
  routers: 2,
  hosters: 3,
  proxied: true,
  readyMs: 180_000,
  ...options,
  hosterConfig: {
    models: [BUNDLED_MODELS, TEST_MODELS],
    shutdown_seconds: 15,
    limits: { journal_records: 48 },
    engines: { crashes: 1_000_000 },
    ...options.hosterConfig,
  },
});
const hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
const routers = subnet.routers.map((_, i) => new TestNode(subnet, 'router', i));
const abort = new AbortController();
const findings = [];
const gateways = await Gateways.start(subnet, gatewayCount, (what) => findings.push(what));
const mending = new Set();

function hurt(fault, hoster, model) {
  const { mended } = inflict(fault, {
    hoster,
    hosters,
    routers,
    model,
    signal: abort.signal,
    finding: (what) => findings.push(what),
  });
  const settled = mended
    .catch((error) => findings.push(String(error)))
    .finally(() => mending.delete(settled));
  mending.add(settled);
}

let random;
let due;
let done = 0;
/** Every so many faults are one of a gateway. */
const GATEWAY_EVERY = 3;
/** A fault that would strike nobody, or leave nobody, is not inflicted: `fault` is missing from the answer then. */
let step;
function scheduled({ seed, faults, busy, engineless }) {
  random ??= new Random(seed);
  due ??= dueKinds(faults);
  if (gatewayCount > 0 && done % GATEWAY_EVERY === GATEWAY_EVERY - 1) {
    const struck = gateways.strike(random, busy);
    if (struck === undefined) return {};
    done++;
    return { ...struck, afterMs: random.int(50, 600) };
  }
  step ??= nextStep(random, hosters.length, WEIGHTS, due.shift());
  const { fault, afterMs, order } = step;
  if (hosters.filter(({ whole }) => whole).length < Math.min(2, hosters.length)) return {};
  const hoster = order
    .map((i) => hosters[i])
    .find(
      (one) =>
        one.whole &&
        (busy[one.address] ?? []).length > 0 &&
        // Where two engines die at one position the turn is taken for what kills them, and rightly ended.
        !(fault.kind.endsWith('-engine') && engineless.includes(one.address)),
    );
  if (hoster === undefined) return {};
  // One model of those with running streams there.
  const model = busy[hoster.address][0];
  step = undefined;
  done++;
  hurt(fault, hoster, model);
  return { fault: fault.kind, hoster: hoster.address, model, afterMs };
}

async function obey(command) {
  if (command.fault !== undefined) {
    hurt(command.fault, hosters[command.hoster ?? 0], command.model);
    return {};
  }
  if (command.seed !== undefined) return scheduled(command);
  if (command.mend === true) {
    while (mending.size > 0) await Promise.all(mending);
    await Promise.all([gateways, ...routers, ...hosters].map((node) => node.mend()));
    return { findings: findings.splice(0) };
  }
  throw new Error(`unknown command ${JSON.stringify(command)}`);
}

say({
  routers: routers.map(({ address }) => address),
  hosters: hosters.map(({ address }) => address),
  gateways: gateways.addresses,
  key: path.join(subnet.keys, 'client.key.json'),
  assets: path.join(REPOSITORY_ROOT, 'test/assets'),
});
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    obey(command).then(
      (answer) => say({ id: command.id, ...answer }),
      (error) => say({ id: command.id, error: String(error) }),
    );
  }
} finally {
  abort.abort();
  await Promise.allSettled(mending);
  await gateways.stop();
  await subnet.stop();
}
process.exit(0);
