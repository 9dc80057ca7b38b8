/** The example of a page, and the router's console, in a real browser, while hosters die: `node test/dist/browser/main.js CHROMIUM`. */
import path from 'node:path';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { REPOSITORY_ROOT, Subnet, freePorts, scrape, total, until } from '@cabstand/testing';
import { Gateway } from '../support/gateway';
import { Chromium } from './chromium';
import { checkConsole } from './console';
import { servePage } from './page-server';

const READY_MS = 120_000;
const AWHILE = { timeoutMs: 60_000 };
const [program = 'chromium'] = process.argv.slice(2);

const say = (line: string): void => void process.stdout.write(`${line}\n`);

let passed = 0;
function check(what: string, holds: boolean): void {
  if (!holds) throw new Error(`not so: ${what}`);
  passed++;
  say(`ok  ${what}`);
}

async function main(): Promise<void> {
  const { server, origin } = await servePage(path.join(REPOSITORY_ROOT, 'examples/microphone'));
  const subnet = await Subnet.start({
    hosters: 2,
    hosterConfig: { only: ['silero-vad', 'g2p'] },
    readyMs: READY_MS,
  });
  try {
    const [port] = await freePorts(1);
    const listen = `127.0.0.1:${String(port)}`;
    await using gateway = await Gateway.start(subnet, { http: { listen, cors_origins: [origin] } });
    const key = readPrivateKey(subnetPaths(subnet.keys).key('client'));
    const token = await new MintedTokens({ key }).get(gateway.address);
    const recording = path.join(REPOSITORY_ROOT, 'test/assets/speech.wav');
    await using browser = await Chromium.start(program, recording);
    await browser.open(origin);
    const text = async (id: string): Promise<string> =>
      String(await browser.evaluate(`document.getElementById('${id}').textContent`));
    const shows = (id: string, wanted: (text: string) => boolean): Promise<string> => {
      let last = '';
      return until(
        `the page to show it at ${id}`,
        async () => {
          last = await text(id);
          return wanted(last) ? last : undefined;
        },
        { ...AWHILE, explain: () => `${last}\n${browser.complaints.join('\n')}` },
      );
    };
    const enter = (id: string, value: string): Promise<unknown> =>
      browser.evaluate(`document.getElementById('${id}').value = ${JSON.stringify(value)}`);
    const click = (id: string): Promise<unknown> =>
      browser.evaluate(`document.getElementById('${id}').click()`);
    await shows('microphone-state', (state) => state === 'idle');
    await enter('gateway', `http://${listen}`);
    await enter('token', token);

    await click('speak');
    await shows('speech-state', (state) => state === 'completed');
    check('g2p comes by server-sent events', (await text('phonemes')).includes('T AE1 K S IY0'));

    await click('listen');
    await shows('frames', (frames) => Number(frames) >= 60);
    let loudest = 0;
    await shows('probability', (value) => (loudest = Math.max(loudest, Number(value))) > 0.9);
    check('the microphone is heard, and speech in it', loudest > 0.9);
    const restart = await killServing(subnet);
    const before = Number(await text('frames'));
    await shows('frames', (frames) => Number(frames) >= before + 100);
    check(
      'probabilities go on when the hoster is killed, on the connection that was',
      (await text('microphone-state')) === 'listening',
    );
    await click('stop');
    await shows('microphone-state', (state) => state === 'idle');
    await restart();

    await click('scan');
    await shows('records', (records) => Number(records) >= 50);
    const again = await killServing(subnet);
    const atKill = Number(await text('records'));
    await shows('scan-state', (state) => state !== 'asking');
    check('a stream of events comes to its end', (await text('scan-state')) === 'completed');
    const positions = (await browser.evaluate('window.positions')) as readonly number[];
    check('more of it came after the kill', positions.length > atKill);
    check(
      'each position exactly once',
      positions.every((position, i) => position === i),
    );
    await again();
    await checkConsole(subnet, browser, check);
  } finally {
    await subnet.stop();
    server.closeAllConnections();
    server.close();
  }
}

/** Kills the hoster that has the one session that is open. Answers how to start it again. */
async function killServing(subnet: Subnet): Promise<() => Promise<void>> {
  const index = await until('a hoster to have the session', async () => {
    const open = await Promise.all(
      subnet.hosters.map(async ({ admin }) => total(await scrape(admin), 'cabstand_open_sessions')),
    );
    const found = open.findIndex((count) => count > 0);
    return found < 0 ? undefined : found;
  });
  const died = subnet.hosters[index]!;
  died.child.kill('SIGKILL');
  await died.child.exited;
  return async () => {
    const again = await subnet.startHoster(index, died);
    subnet.hosters[index] = again;
    await subnet.ready(again);
  };
}

main().then(
  () => say(`${String(passed)} passed, 0 failed`),
  (error: unknown) => {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    say(`${String(passed)} passed, 1 failed`);
    process.exitCode = 1;
  },
);
