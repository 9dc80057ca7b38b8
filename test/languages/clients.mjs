// Each program prints what the TypeScript client gets, says why it is refused, and goes on where a hoster is killed.
import { createRequire } from 'node:module';
import { Run, compare } from './programs.mjs';
import { check, expect } from './report.mjs';

const require = createRequire(new URL('../package.json', import.meta.url));
const { scrape, total, until } = require('@cabstand/testing');

/** What the TypeScript client gets. */
export async function reference(client, audio) {
  const session = client.session({ model: 'silero-vad' });
  const values = [];
  for await (const chunk of session.runProtocolTask(undefined, { audio }))
    values.push(chunk.float32('speech_probability')[0]);
  await session.close();
  return values;
}

export async function same(program, server, key, recording) {
  const run = new Run(program, [server, key, 'silero-vad', recording.file]);
  const code = await run.ended;
  expect(code === 0, `it ended with ${code}: ${run.errors}`);
  const problem = compare(run.lines, recording.values);
  expect(problem === undefined, problem);
  return `${run.lines.length} records`;
}

export async function refused(program, server, key, recording) {
  const run = new Run(program, [server, key, 'nobody-has-this', recording.file]);
  const code = await run.ended;
  expect(code !== 0, 'it ended well with a model that nobody has');
  expect(run.errors.includes('MODEL_UNKNOWN'), `expected MODEL_UNKNOWN, got ${run.errors}`);
}

/** The only session there is. */
async function serving(subnet) {
  return until('a hoster to have the session', async () => {
    const open = await Promise.all(
      subnet.hosters.map(async ({ admin }) => total(await scrape(admin), 'cabstand_open_sessions')),
    );
    const at = open.findIndex((count) => count > 0);
    return at < 0 ? undefined : at;
  });
}

/** No session is open, and the router has all hosters: there is somewhere to go. */
async function idle({ subnet, client }) {
  await until('hosters to be online and without sessions', async () => {
    for (const { admin } of subnet.hosters)
      if (total(await scrape(admin), 'cabstand_open_sessions') > 0) return undefined;
    const online = (await client.nodes()).filter(({ state }) => state === 'online');
    return online.length === subnet.hosters.length || undefined;
  });
}

/** Whom a program asks: several routers, or the gateway. */
const serverOf = ({ direct }, { subnet, gateway }) =>
  direct === true ? subnet.routerAddresses.join(',') : gateway.address;

/** What is done to the hoster that has the session. */
const blows = {
  'is killed': async ({ child }) => child.kill('SIGKILL'),
  'is stopped': async ({ child }) => child.kill('SIGSTOP'),
  'is told to end': async ({ child }) => child.kill('SIGTERM'),
};

async function survives(program, there, recording, blow) {
  const { subnet, gateway, key } = there;
  await idle(there);
  const moves = async () =>
    total(await scrape(gateway.admin), 'cabstand_gateway_recoveries_total', { where: 'other' });
  const before = await moves();
  const server = serverOf(program, there);
  const run = new Run(program, [server, key, 'silero-vad', recording.file]);
  await run.printed(200);
  const at = await serving(subnet);
  const died = subnet.hosters[at];
  await blow(died);
  const atDeath = run.lines.length;
  const code = await run.ended;
  // One that was stopped is still there.
  died.child.kill('SIGKILL');
  await died.child.exited;
  subnet.hosters[at] = await subnet.startHoster(at, died);
  await subnet.ready(subnet.hosters[at]);
  expect(code === 0, `it ended with ${code}: ${run.errors}`);
  const problem = compare(run.lines, recording.values);
  expect(problem === undefined, problem);
  expect(atDeath < run.lines.length, 'the hoster was killed too late');
  if (program.direct !== true)
    expect((await moves()) > before, 'the gateway did not take the session elsewhere');
  return `${run.lines.length} records, each once; hurt after ${atDeath}`;
}

export async function checkClients(programs, there, short, long) {
  for (const program of programs) {
    const { name } = program;
    const server = serverOf(program, there);
    await check(`${name}: prints what the TypeScript client gets`, () =>
      same(program, server, there.key, short),
    );
    await check(`${name}: says why it is refused`, () =>
      refused(program, server, there.key, short),
    );
    // A gateway does as the client library; what a program does by itself is tried in more ways.
    const tried = program.direct === true ? Object.keys(blows) : ['is killed'];
    if (!program.slow)
      for (const how of tried)
        await check(`${name}: goes on where its hoster ${how}`, () =>
          survives(program, there, long, blows[how]),
        );
  }
}
