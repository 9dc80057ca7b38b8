#!/usr/bin/env node
// Prints the Secrets that deploy/kubernetes mounts, from a folder made by `cabstand keys`:
//
//   node deploy/kubernetes/secrets.mjs --keys keys --namespace cabstand | kubectl apply -f -
//
// Of the folder it takes what members need, and nothing of the issuer, the authority's key or administrators but
// `drainer`. Members are found by their names: router-0, hoster-0, gateway-0 … They are told on standard error.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const SERVICES = ['router', 'hoster', 'gateway'];

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: 'keys' },
    namespace: { type: 'string', default: 'cabstand' },
  },
});
const folder = values.keys;

const missing = ['keys.json', 'seal.key.json', 'admin.token', 'tls/ca.crt'].filter(
  (file) => !existsSync(path.join(folder, file)),
);
if (missing.length > 0) {
  console.error(
    `secrets: ${folder} has no ${missing.join(', ')}: expected a folder made by \`cabstand keys init\`, and in it ` +
      'admin.token (openssl rand -base64 32 > admin.token)',
  );
  process.exit(2);
}

const data = (files) =>
  Object.fromEntries(
    Object.entries(files).map(([key, file]) => [
      key,
      readFileSync(path.join(folder, file)).toString('base64'),
    ]),
  );
const secret = (name, files) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: values.namespace, labels: { 'app.kubernetes.io/name': 'cabstand' } },
  type: 'Opaque',
  data: data(files),
});

function membersOf(service) {
  // `gateway` is the key that all have where gateways are a Deployment. Hosters have none in common.
  const number = service === 'gateway' ? '(?:-\\d+)?' : '-\\d+';
  const names = readdirSync(folder).flatMap(
    (file) => new RegExp(`^(${service}${number})\\.key\\.json$`).exec(file)?.[1] ?? [],
  );
  if (names.length === 0) {
    console.error(
      `secrets: ${folder} has no ${service}-0.key.json: \`cabstand keys add ${service}-0 --role ${service} …\``,
    );
    process.exit(2);
  }
  console.error(`${service}s: ${names.join(', ')}`);
  return Object.fromEntries(
    names.flatMap((name) => [
      [`${name}.key.json`, `${name}.key.json`],
      [`${name}.crt`, `tls/${name}.crt`],
      [`${name}.key`, `tls/${name}.key`],
    ]),
  );
}

const subnet = { 'keys.json': 'keys.json', 'ca.crt': 'tls/ca.crt' };
const items = [
  secret('cabstand-subnet', subnet),
  secret('cabstand-admin', { 'admin.token': 'admin.token' }),
  secret('cabstand-seal', { 'seal.key.json': 'seal.key.json' }),
  ...SERVICES.map((service) => secret(`cabstand-${service}-keys`, membersOf(service))),
  ...(existsSync(path.join(folder, 'drainer.key.json'))
    ? [secret('cabstand-drainer', { ...subnet, 'drainer.key.json': 'drainer.key.json' })]
    : []),
];
process.stdout.write(`${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2)}\n`);
