/** The client library through gateways, while they and the hosters behind them die. Needs a build. */
import type { Session } from '@cabstand/client';
import { tensorOf } from '@cabstand/tensor';
import { Subnet, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient, probabilities } from '../support/client';
import { Gateway } from '../support/gateway';
import { SileroReference } from '../support/silero-reference';

jest.setTimeout(300_000);

/** A busy machine takes its time to start processes. */
const READY_MS = 120_000;
const FRAMES = 600;
const MODEL = 'silero-vad';
const audio = variation(speech(), 3, 512 * FRAMES);

let subnet: Subnet;
let gateways: Gateway[];

beforeAll(async () => {
  subnet = await Subnet.start({ hosters: 2, hosterConfig: { only: [MODEL] }, readyMs: READY_MS });
  gateways = [
    await Gateway.start(subnet, {}, 'gateway-1'),
    await Gateway.start(subnet, {}, 'gateway-2'),
  ];
}, 2 * READY_MS);

afterAll(async () => {
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
  await subnet.stop();
});

/** Reads a turn; `hurt` strikes once, within it. */
async function* struck(session: Session, hurt: () => Promise<void>) {
  let left = FRAMES / 10;
  for await (const chunk of session.runProtocolTask(undefined, [tensorOf('audio', audio)])) {
    if (--left === 0) await hurt();
    yield chunk;
  }
}

async function kill(signal: NodeJS.Signals, at: { readonly child: Gateway['child'] }) {
  at.child.kill(signal);
  await at.child.exited;
}

async function again(index: number, name: string): Promise<void> {
  gateways[index] = await Gateway.start(subnet, {}, name, { before: gateways[index] });
}

test('a stream outlives its gateway, its hoster, and a gateway that is told to end', async () => {
  const reference = await SileroReference.load();
  const wanted = await reference.probabilities(audio);
  const hosters = gateways.map(({ address }) => address);
  await using client = new TestClient(subnet, { routers: [], hosters });
  const at = (session: Session): number =>
    gateways.findIndex(({ address }) => address === session.node?.address);

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await using session = client.session(MODEL);
    let index = -1;
    const seen = await probabilities(
      struck(session, () => {
        index = at(session);
        return kill(signal, gateways[index]!);
      }),
    );
    expect(seen).toEqual(wanted);
    expect(at(session)).toBe(1 - index);
    await again(index, `gateway-${String(index + 1)}`);
  }

  await using session = client.session(MODEL);
  await using finder = new TestClient(subnet);
  const seen = await probabilities(
    struck(session, async () => {
      const node = await until(
        'its hoster to tell of the session',
        async () => (await finder.remote.locate(session.id))[0],
      );
      await kill(
        'SIGKILL',
        subnet.hosters.find(({ address }) => address === node.address)!,
      );
    }),
  );
  expect(seen).toEqual(wanted);
});
