#!/usr/bin/env node
// Makes docker-compose.yml start more hosters than two: `node deploy/hosters.mjs 5`, then `docker compose up`.
//
// `--scale` cannot do it. Each hoster has a key of its own, without which one could take another's place, and a
// certificate for its own name, which clients check; the replicas of one service share all their files. So each
// is a service here: docker-compose.override.yml, which Compose reads by itself, and the targets of Prometheus.
// `node deploy/hosters.mjs 2` takes both away again, and leaves the volumes with the keys.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MOST = 32;
const GIVEN = ['hoster1', 'hoster2'];

const [wanted = '', folder = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')] =
  process.argv.slice(2);
const count = Number(wanted);
if (!/^\d+$/.test(wanted) || count < GIVEN.length || count > MOST) {
  console.error(
    `hosters: got ${JSON.stringify(wanted)}, expected how many, ${GIVEN.length} to ${MOST}`,
  );
  process.exit(2);
}

const override = path.join(folder, 'docker-compose.override.yml');
const targets = path.join(folder, 'deploy/prometheus/hosters/more.yml');
const names = Array.from(
  { length: count - GIVEN.length },
  (_, at) => `hoster${at + 1 + GIVEN.length}`,
);

if (names.length === 0) {
  for (const file of [override, targets]) rmSync(file, { force: true });
} else {
  mkdirSync(path.dirname(targets), { recursive: true });
  writeFileSync(override, compose(names));
  writeFileSync(targets, `- targets: [${names.map((name) => `'${name}:8051'`).join(', ')}]\n`);
}

function compose(hosters) {
  const keyed = [...GIVEN, 'hoster-gpu', ...hosters];
  return `# Made by deploy/hosters.mjs.
version: '3.8'

services:
  keys:
    environment:
      HOSTERS: ${keyed.join(' ')}
    volumes:
${hosters.map((name) => `      - keys-${name}:/keys/${name}\n`).join('')}
${hosters.map((name) => service(name)).join('\n')}
volumes:
${hosters.map((name) => `  keys-${name}:\n`).join('')}`;
}

function service(name) {
  const number = Number(name.replace('hoster', ''));
  return `  ${name}:
    image: cabstand:local
    command: [hoster]
    init: true
    read_only: true
    tmpfs: ['/tmp:mode=1777,size=256m']
    cap_drop: [ALL]
    security_opt: ['no-new-privileges:true']
    pids_limit: 256
    mem_limit: 3g
    stop_grace_period: 30s
    depends_on:
      keys:
        condition: service_completed_successfully
      router:
        condition: service_healthy
    healthcheck:
      test: [CMD, node, /app/deploy/healthcheck.js, '8051']
      interval: 2s
      timeout: 2s
      retries: 45
    environment:
      CABSTAND_AUTH_MODE: keys
      CABSTAND_AUTH_KEYS: /keys/keys.json
      CABSTAND_AUTH_VERIFY_SERVERS: 'true'
      CABSTAND_TLS_CA: /keys/tls/ca.crt
      CABSTAND_ADMIN_TOKEN_FILE: /keys/admin.token
      OTEL_EXPORTER_OTLP_ENDPOINT: \${OTLP_ENDPOINT:-}
      CABSTAND_LISTEN: 0.0.0.0:50051
      CABSTAND_ADMIN_LISTEN: 0.0.0.0:8051
      CABSTAND_ROUTERS: router:50050
      CABSTAND_MODELS: /app/models
      CABSTAND_ADVERTISE: ${name}:50051
      CABSTAND_NODE_ID: ${name}
      CABSTAND_AUTH_KEY: /keys/${name}.key.json
      CABSTAND_TLS_CERT: /keys/tls/${name}.crt
      CABSTAND_TLS_KEY: /keys/tls/${name}.key
    volumes: ['keys-${name}:/keys:ro']
    ports: ['127.0.0.1:${50050 + number + 100}:50051', '127.0.0.1:${8050 + number + 100}:8051']
`;
}
