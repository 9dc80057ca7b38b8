#!/usr/bin/env node
// Prints what an image weighs, how long each of its services takes until it is ready, and what it holds when it has
// nothing to do:
//
//   docker build -f deploy/Dockerfile -t cabstand:local . && node scripts/images.mjs
//
// The services are those of docker-compose.yml, in a project of their own, one after another. Ready is when
// /readyz says so, counted from the start of the container's process; the CPU seconds until then say more on a machine
// that has other things to do. IMAGES names further images to weigh, with commas; RUNS is how often each is started (3).
import { execFileSync, spawnSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const PROJECT = 'cabstand-images';
const RUNS = Number(process.env.RUNS ?? 3);
const IDLE_SECONDS = 20;
const READY_SECONDS = 300;
const SERVICES = [
  ['router', 8050],
  ['hoster1', 8051],
  ['gateway', 8060],
];

const docker = (...args) =>
  execFileSync('docker', args, { encoding: 'utf8', maxBuffer: 2 ** 26 }).trim();
const composes = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0;
const [program, ...first] = composes ? ['docker', 'compose'] : ['docker-compose'];
const compose = (...args) =>
  execFileSync(program, [...first, '--project-name', PROJECT, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();

const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);

function weigh(image) {
  const size = Number(docker('image', 'inspect', '--format', '{{.Size}}', image));
  const layers = docker(
    'history',
    '--no-trunc',
    '--human=false',
    '--format',
    '{{.Size}} {{.CreatedBy}}',
    image,
  )
    .split('\n')
    .map((line) => /^(\d*) ?(.*)$/.exec(line).slice(1))
    .filter(([bytes]) => Number(bytes) > 2 ** 20);
  row(image, `${mib(size)} MiB`);
  for (const [bytes, by] of layers)
    row(
      `– ${by
        .replace(/\s+/g, ' ')
        .replace(/^.*#\(nop\) /, '')
        .slice(0, 60)}`,
      `${mib(bytes)} MiB`,
    );
}

/** Whether the service answers 200 on its admin port. */
const ready = (port) =>
  new Promise((resolve) => {
    // Its certificate is for the name of the container.
    https
      .get({ port, path: '/readyz', rejectUnauthorized: false, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      })
      .on('error', () => resolve(false));
  });

/** What the engine counts of a container: its CPU time in seconds, and the bytes that it is charged for. */
async function counted(id) {
  const answer = await new Promise((resolve, reject) => {
    const socketPath = (process.env.DOCKER_HOST ?? '/var/run/docker.sock').replace('unix://', '');
    http
      .get({ socketPath, path: `/containers/${id}/stats?stream=false&one-shot=true` }, resolve)
      .on('error', reject);
  });
  let text = '';
  for await (const part of answer) text += part;
  const { cpu_stats: cpu, memory_stats: memory } = JSON.parse(text);
  // Pages of files that may go at any time are not held.
  const inactive = memory.stats.inactive_file ?? memory.stats.total_inactive_file ?? 0;
  return { cpuSeconds: cpu.cpu_usage.total_usage / 1e9, charged: memory.usage - inactive };
}

/** Seconds from the start of a container's process until it is ready, and CPU seconds. */
async function startUp(service, port) {
  compose('up', '--no-build', '--no-deps', '-d', service);
  const id = compose('ps', '-q', service);
  const started = Date.parse(docker('inspect', '--format', '{{.State.StartedAt}}', id));
  while (!(await ready(port))) {
    if (Date.now() > started + READY_SECONDS * 1000)
      throw new Error(
        `${service} is not ready after ${READY_SECONDS} s: ${docker('logs', '--tail', '20', id)}`,
      );
    await sleep(20);
  }
  const seconds = (Date.now() - started) / 1000;
  return { seconds, cpuSeconds: (await counted(id)).cpuSeconds };
}

/** Resident bytes of all processes of a container, and what its cgroup is charged for. */
async function memory(service) {
  const id = compose('ps', '-q', service);
  const resident = docker('top', id, '-eo', 'pid,rss')
    .split('\n')
    .slice(1)
    .map((line) => Number(line.trim().split(/\s+/)[1]) * 1024);
  const sum = resident.reduce((total, bytes) => total + bytes, 0);
  return { processes: resident.length, resident: sum, charged: (await counted(id)).charged };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const down = () => compose('down', '--volumes', '--timeout', '10');
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    down();
    process.exit(1);
  });

row('image, and its layers of more than 1 MiB', 'size');
row('---', '---');
for (const image of ['cabstand:local', ...(process.env.IMAGES ?? '').split(',').filter(Boolean)])
  weigh(image);

try {
  const times = new Map(SERVICES.map(([service]) => [service, []]));
  for (let run = 0; run < RUNS; run++) {
    if (run > 0) compose('rm', '--stop', '--force', ...SERVICES.map(([service]) => service));
    else compose('run', '--rm', '-T', 'keys');
    for (const [service, port] of SERVICES) times.get(service).push(await startUp(service, port));
  }
  await sleep(IDLE_SECONDS * 1000);
  console.log();
  row(
    'service',
    `ready after, s (median of ${RUNS})`,
    'CPU until then, s',
    'processes',
    'resident, of all',
    'charged to the container',
  );
  row('---', '---', '---', '---', '---', '---');
  for (const [service] of SERVICES) {
    const { processes, resident, charged } = await memory(service);
    const of = (key) => median(times.get(service).map((each) => each[key])).toFixed(2);
    row(
      service,
      of('seconds'),
      of('cpuSeconds'),
      processes,
      `${mib(resident)} MiB`,
      `${mib(charged)} MiB`,
    );
  }
} finally {
  down();
}
