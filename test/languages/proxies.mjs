// The settings of docs/languages.md for nginx and Envoy, in front of the gateway.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { refused, same } from './clients.mjs';
import { blocks } from './page.mjs';
import { cannotTell, check, expect } from './report.mjs';
import { Caller } from './through.mjs';

const require = createRequire(new URL('../package.json', import.meta.url));
const { subnetPaths } = require('@cabstand/auth-admin');
const { until } = require('@cabstand/testing');

/** Replaces what the page must have once. */
function put(text, changes) {
  for (const [there, here] of changes) {
    expect(text.split(there).length === 2, `the page does not say "${there}" once`);
    text = text.replace(there, here);
  }
  return text;
}

/** Runs a proxy that listens at `address` while `use` goes on. */
async function beside([program, ...args], address, use) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-4000)));
  const exited = new Promise((resolve) => child.once('close', resolve));
  try {
    const [host, port] = address.split(':');
    await until(
      `${program} to listen`,
      () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
        return new Promise((resolve) => {
          const socket = connect(Number(port), host, () => resolve(true));
          socket.once('error', () => resolve(undefined)).once('connect', () => socket.destroy());
        });
      },
      { timeoutMs: 30_000, explain: () => said },
    );
    return await use();
  } finally {
    child.kill('SIGTERM');
    await exited;
  }
}

/** Files of nginx's with the page's settings, and with changes to them. */
function nginx({ subnet, gateway, proxies: [address, plain] }, name, changes = []) {
  const folder = path.join(subnet.folder, name);
  mkdirSync(folder);
  const paths = subnetPaths(subnet.keys);
  const settings = put(blocks('nginx')[0], [
    ['server 127.0.0.1:50053;', `server ${gateway.address};`],
    // The programs of the page speak plain HTTP/2.
    ['listen 443 ssl http2;', `listen ${address} ssl http2; listen ${plain} http2;`],
    ['/etc/ssl/cabstand/gateway.crt', paths.cert('gateway')],
    ['/etc/ssl/cabstand/gateway.key', paths.certKey('gateway')],
    ...changes,
  ]);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
events {}
http { access_log off; ${temporary.join(' ')}
${settings}}\n`,
  );
  return ['nginx', '-e', 'stderr', '-p', folder, '-c', file];
}

function envoy({ subnet, gateway, proxies: [, , address, plain], built }) {
  const paths = subnetPaths(subnet.keys);
  const settings = parse(
    put(blocks('yaml')[0], [
      ['port_value: 50053', `port_value: ${gateway.address.split(':')[1]}`],
      ['/etc/ssl/cabstand/gateway.crt', paths.cert('gateway')],
      ['/etc/ssl/cabstand/gateway.key', paths.certKey('gateway')],
    ]),
  );
  const { listeners } = settings.static_resources;
  const at = (listener, where) => {
    const [host, port] = where.split(':');
    const socket_address = { address: host, port_value: Number(port) };
    return { ...listener, name: where, address: { socket_address } };
  };
  const [tls] = listeners;
  // The programs of the page speak plain HTTP/2.
  const [{ filters }] = tls.filter_chains;
  settings.static_resources.listeners = [
    at(tls, address),
    at({ ...tls, filter_chains: [{ filters }] }, plain),
  ];
  const file = path.join(subnet.folder, 'envoy.yaml');
  writeFileSync(file, stringify(settings));
  const quiet = ['--disable-hot-restart', '--concurrency', '1', '--log-level', 'error'];
  return [`${built.envoy}/envoy/_bin/envoy`, '-c', file, ...quiet];
}

async function using(subnet, address, act) {
  const caller = new Caller(subnet, address);
  try {
    return await act(caller);
  } finally {
    caller.close();
  }
}

async function passes(name, there, all, [address, plain], short, long) {
  const { subnet, key } = there;
  await check(`${name}: one answer`, () => using(subnet, address, (caller) => caller.models()));
  await check(`${name}: the details of a refusal`, () =>
    using(subnet, address, (caller) => caller.refusal()),
  );
  await check(`${name}: a session with 2.5 MiB of live input`, () =>
    using(subnet, address, (caller) => caller.session()),
  );
  for (const program of all.filter(({ name: which }) => which === 'Python' || which === 'Go')) {
    await check(`${name}: the ${program.name} program, a request of 12 MB`, () =>
      same(program, plain, key, long),
    );
    await check(`${name}: the ${program.name} program is refused`, () =>
      refused(program, plain, key, short),
    );
  }
}

/** That each setting is needed: without it the same breaks. */
async function breaks(there) {
  const [address] = there.proxies;
  const failing = async (name, changes, act) =>
    check(`nginx ${name}`, () =>
      beside(nginx(there, name.replaceAll(' ', '-'), changes), address, () =>
        using(there.subnet, address, async (caller) => {
          const error = await act(caller).catch((failed) => failed);
          expect(error instanceof Error, 'nothing broke');
          return error.message;
        }),
      ),
    );
  const noSize = [['client_max_body_size 0;', '']];
  await failing('without its size', noSize, (caller) => caller.session());
  const short = ['grpc_read_timeout', 'client_body_timeout'].map((key) => [
    `${key} 1d;`,
    `${key} 1s;`,
  ]);
  // A session between turns says nothing: it ends without anybody having ended it.
  await failing('with short timeouts', short, async (caller) => (await caller.open()).over);
}

export async function checkProxies(all, there, short, long) {
  if (spawnSync('nginx', ['-v']).error === undefined) {
    await beside(nginx(there, 'nginx'), there.proxies[0], () =>
      passes('nginx', there, all, there.proxies.slice(0, 2), short, long),
    );
    await breaks(there);
  } else cannotTell('the settings for nginx were not tried: it is not here');
  if (existsSync(`${there.built.envoy}/envoy/_bin/envoy`))
    await beside(envoy(there), there.proxies[2], () =>
      passes('Envoy', there, all, there.proxies.slice(2), short, long),
    );
  else cannotTell('the settings for Envoy were not tried: it is not here');
}
