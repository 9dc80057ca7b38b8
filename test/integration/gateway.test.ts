/** Callers that know nothing but the contract, through a gateway, while what serves them dies. Needs a build. */
import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { ChannelCredentials, Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import path from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import type { v1 } from '@cabstand/rpc';
import { float32Of, fromWire, tensorOf, toWire } from '@cabstand/tensor';
import { REPOSITORY_ROOT, Subnet, scrape, total, until } from '@cabstand/testing';
import type { Service } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient } from '../support/client';
import { Gateway } from '../support/gateway';
import { SileroReference } from '../support/silero-reference';

jest.setTimeout(300_000);

/** A busy machine takes its time to start processes. */
const READY_MS = 120_000;
const FRAME = 512;
const recording = speech();

let subnet: Subnet;
let gateway: Gateway;

beforeAll(async () => {
  subnet = await Subnet.start({
    hosters: 2,
    hosterConfig: { only: ['silero-vad'] },
    readyMs: READY_MS,
  });
  gateway = await Gateway.start(subnet);
}, 2 * READY_MS);

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await subnet.stop();
});

type Records = ClientReadableStream<v1.InferenceStreamResponse__Output>;

/** What grpc-js makes of the contract, as far as it is used here. */
interface Stubs {
  readonly cabstand: {
    readonly v1: {
      readonly HosterService: new (
        address: string,
        channel: ChannelCredentials,
      ) => Client & {
        rpc_inference_stream(request: v1.InferenceStreamRequest, metadata: Metadata): Records;
      };
    };
  };
}

/** As anybody would write it: a channel, a call, a header. */
async function ask(request: v1.InferenceStreamRequest, member = 'client'): Promise<Records> {
  const files = ['cabstand/v1/hoster.proto'];
  const loaded = loadSync(files, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    includeDirs: [path.join(REPOSITORY_ROOT, 'proto')],
  });
  const { cabstand } = loadPackageDefinition(loaded) as unknown as Stubs;
  const client = new cabstand.v1.HosterService(gateway.address, credentials.createInsecure());
  const key = readPrivateKey(subnetPaths(subnet.keys).key(member));
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${await new MintedTokens({ key }).get(gateway.address)}`);
  const call = client.rpc_inference_stream(request, metadata);
  call.once('close', () => client.close());
  return call;
}

/** What a stream brings, read as far as it is asked for. */
class Reader {
  readonly records: v1.Record__Output[] = [];
  opened: v1.Opened__Output | undefined;
  readonly over: Promise<ServiceError | undefined>;
  #upTo = Infinity;

  constructor(readonly call: Records) {
    this.over = new Promise((resolve) => {
      call.once('error', (error) => resolve(error as ServiceError));
      call.once('end', () => resolve(undefined));
    });
    call.on('data', ({ record, notice }: v1.InferenceStreamResponse__Output) => {
      if (notice?.opened) this.opened = notice.opened;
      if (record && this.records.push(record) >= this.#upTo) call.pause();
    });
  }

  /** Reads no further than this many records; resolves when they are here. */
  async to(count: number): Promise<void> {
    this.#upTo = count;
    this.call.resume();
    await until(`${String(count)} records`, () => this.records.length >= count || undefined);
  }

  async toEnd(): Promise<ServiceError | undefined> {
    this.#upTo = Infinity;
    this.call.resume();
    return this.over;
  }

  get values(): Float32Array {
    const chunks = this.records.flatMap(({ chunk }) => (chunk ? [chunk] : []));
    return Float32Array.from(chunks, ({ outputs }) => float32Of(fromWire(outputs[0]!))[0] ?? NaN);
  }
}

const silero = (audio: Float32Array): v1.InferenceStreamRequest => ({
  model: 'silero-vad',
  inputs: [toWire(tensorOf('audio', audio))],
});

/** The hoster that has a session: it is the caller's own, so the caller finds it. */
async function serving(sessionId: string): Promise<number> {
  await using client = new TestClient(subnet);
  return await until('a hoster to claim the session', async () => {
    const [node] = await client.remote.locate(sessionId);
    const index = subnet.hosters.findIndex(({ address }) => address === node?.address);
    return index < 0 ? undefined : index;
  });
}

async function bothOnline(): Promise<void> {
  await until('two hosters online', async () => {
    await using client = new TestClient(subnet);
    const nodes = await client.remote.nodes();
    return nodes.filter(({ state }) => state === 'online').length === 2 || undefined;
  });
}

test('sigkill of its hoster, sigkill of the router, sigterm of the next hoster: every record once', async () => {
  const frames = 6000;
  const audio = variation(recording, 1, FRAME * frames);
  const reader = new Reader(await ask(silero(audio)));
  await reader.to(300);
  const first = await serving(reader.opened!.session_id);
  const died: Service = subnet.hosters[first]!;
  died.child.kill('SIGKILL');
  await reader.to(1500);
  subnet.hosters[first] = await subnet.startHoster(first, died);
  await subnet.ready(subnet.hosters[first]);

  const router = subnet.routers[0]!;
  router.child.kill('SIGKILL');
  await router.child.exited;
  await reader.to(2500);
  subnet.routers[0] = await subnet.startRouter(0, router);
  await subnet.ready(subnet.routers[0]);
  await bothOnline();

  const second = await serving(reader.opened!.session_id);
  expect(second).not.toBe(first);
  const left = subnet.hosters[second]!;
  left.child.kill('SIGTERM');
  await reader.to(4000);
  expect(await reader.toEnd()).toBeUndefined();
  expect((await left.child.exited).code).toBe(0);
  subnet.hosters[second] = await subnet.startHoster(second, left);

  expect(reader.records.map(({ position }) => position)).toEqual(
    Array.from({ length: frames + 1 }, (_, i) => i),
  );
  expect(reader.records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
  expect(reader.values).toEqual(await (await SileroReference.load()).probabilities(audio));
  const series = await scrape(gateway.admin);
  expect(
    total(series, 'cabstand_gateway_recoveries_total', { where: 'other' }),
  ).toBeGreaterThanOrEqual(2);
  expect(total(series, 'cabstand_gateway_sessions_lost_total')).toBe(0);
  await subnet.ready(subnet.hosters[second]);
  await bothOnline();
});

test('a caller that does not read holds the hoster back', async () => {
  const frames = 6000;
  const steps = async (): Promise<number> => {
    const pages = await Promise.all(subnet.hosters.map(({ admin }) => scrape(admin)));
    return pages.reduce((sum, page) => sum + total(page, 'cabstand_steps_total'), 0);
  };
  const before = await steps();
  const reader = new Reader(await ask(silero(variation(recording, 2, FRAME * frames))));
  try {
    await reader.to(50);
    const hoster = subnet.hosters[await serving(reader.opened!.session_id)]!;
    await until('the hoster to wait', async () => {
      const page = await scrape(hoster.admin);
      const waits = total(page, 'cabstand_credit_records') === 0;
      return (waits && total(page, 'cabstand_journal_records') > 0) || undefined;
    });
    expect((await steps()) - before).toBeLessThan(frames / 2);
    expect(reader.records).toHaveLength(50);
    expect(await reader.toEnd()).toBeUndefined();
    expect(reader.records).toHaveLength(frames + 1);
  } finally {
    reader.call.cancel();
  }
});

test('a caller that cancels frees its slot at the hoster', async () => {
  const open = async (): Promise<number> => {
    const counts = await Promise.all(
      subnet.hosters.map(async ({ admin }) => total(await scrape(admin), 'cabstand_open_sessions')),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };
  await until('no session to be open', async () => (await open()) === 0 || undefined);
  const reader = new Reader(await ask(silero(variation(recording, 3, FRAME * 6000))));
  await reader.to(20);
  expect(await open()).toBe(1);
  reader.call.cancel();
  expect((await reader.over)?.code).toBe(1);
  await until('the session to be closed', async () => (await open()) === 0 || undefined);
  expect(total(await scrape(gateway.admin), 'cabstand_gateway_sessions')).toBe(0);
});
