// Runs what docs/languages.md shows beside a subnet with a gateway. run.sh has built it, and gives the folders.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { checkClients, reference } from './clients.mjs';
import { checkPage } from './page.mjs';
import { programs } from './programs.mjs';
import { checkProxies } from './proxies.mjs';
import { close } from './report.mjs';
import { checkTools } from './tools.mjs';

// Workspaces are CommonJS, and found from the package that depends on them.
const require = createRequire(new URL('../package.json', import.meta.url));
const { subnetPaths } = require('@cabstand/auth-admin');
const { connect, keyFile } = require('@cabstand/client');
const { Subnet, freePorts } = require('@cabstand/testing');
const { speech, variation, wav } = require('./dist/support/audio');
const { Gateway } = require('./dist/support/gateway');

const FRAME = 512;
/** Enough that a hoster can be killed in between; as one message it is below the limit. */
const LONG_FRAMES = 12_000;

const built = JSON.parse(process.argv[2]);
const subnet = await Subnet.start({
  hosterConfig: { only: ['silero-vad', 'g2p'] },
  readyMs: 180_000,
});
let gateway;
let client;
try {
  const proxies = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
  gateway = await Gateway.start(subnet, {
    // Callers prove who they are to the address that they dial.
    auth: { ...subnet.authConfig('gateway'), audiences: proxies },
  });
  const key = subnetPaths(subnet.keys).key('client');
  client = connect({ routers: subnet.routerAddresses, auth: keyFile(key) });
  const there = { subnet, gateway, client, key, proxies, built };

  const recording = async (name, samples) => {
    const file = path.join(subnet.folder, name);
    writeFileSync(file, wav(samples));
    return { file, values: await reference(client, samples) };
  };
  const short = await recording('short.wav', speech());
  const long = await recording('long.wav', variation(speech(), 0, FRAME * LONG_FRAMES));
  const all = programs(built);
  await checkPage();
  await checkClients(all, there, short, long);
  await checkTools(there);
  await checkProxies(all, there, short, long);
} finally {
  await client?.close();
  await gateway?.[Symbol.asyncDispose]();
  await subnet.stop();
}
process.exit(close());
