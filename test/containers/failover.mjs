// Kills the container of the hoster that has a stream, and later the engine of the one that took it over: `node
// failover.mjs docker compose`. The stream must go on each time, without a picture too few or too many.
import { execFileSync, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';

const MODEL = 'plasma';
/** Something dies once so many pictures have come from one place. */
const PICTURES = 60;
const DEATHS = [killHoster, killEngine];

const [program, ...compose] = process.argv.slice(2);
const stream = spawn(
  program,
  [...compose, 'run', '--rm', '--no-deps', '-T', '--entrypoint', 'node', 'demo', '-'],
  { stdio: [openSync(new URL('stream.cjs', import.meta.url), 'r'), 'pipe', 'inherit'] },
);
const exited = new Promise((resolve) => stream.once('exit', resolve));
const places = [];
let here = 0;
let next = 0;
let end;
for await (const line of createInterface({ input: stream.stdout })) {
  const said = JSON.parse(line);
  if (said.end !== undefined) {
    end = said.end;
    continue;
  }
  if (said.index !== next) fail(`picture ${said.index} came in place of ${next}`);
  next += 1;
  here = said.hoster === places.at(-1) ? here + 1 : 1;
  if (here === 1) places.push(said.hoster);
  if (here === PICTURES) DEATHS.shift()?.(said.hoster);
}
const code = await exited;
if (code !== 0 || end !== next) fail(`the stream ended after ${next} pictures, with ${code}`);
if (places.length !== 2) fail(`the stream was at ${places.join(', ')}`);
if (DEATHS.length > 0) fail('not all that was to die has');
console.log(`${next} pictures, each once: ${places[0]} was killed, and ${places[1]} went on`);

function idOf(service) {
  return execFileSync(program, [...compose, 'ps', '-q', service], { encoding: 'utf8' }).trim();
}

function killHoster(service) {
  execFileSync('docker', ['kill', idOf(service)], { stdio: 'ignore' });
}

function killEngine(service) {
  const id = idOf(service);
  const log = execFileSync('docker', ['logs', id], { encoding: 'utf8', stdio: [] });
  const serving = log
    .split('\n')
    .filter((line) => line.includes('"model serves"') && line.includes(`"model":"${MODEL}"`));
  const { engine_pid: pid } = JSON.parse(serving.at(-1));
  execFileSync('docker', ['exec', id, 'sh', '-c', `kill -9 ${pid}`]);
}

function fail(problem) {
  console.error(problem);
  stream.kill();
  process.exit(1);
}
