/** The Open Inference Protocol at a gateway, while the hosters under it die. Needs a build. */
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { InferenceService } from '@cabstand/doors';
import { RpcClient } from '@cabstand/rpc';
import { Subnet, refusalOf, scrape, total, until } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { Gateway } from '../support/gateway';
import { within } from '../support/raw';
import { SileroReference } from '../support/silero-reference';

jest.setTimeout(300_000);

/** A busy machine takes its time to start processes. */
const READY_MS = 120_000;
const FRAME = 512;
const MODEL = 'silero-vad';
const IDLE_SECONDS = 3;
const recording = speech();

let subnet: Subnet;
let gateway: Gateway;
let http: string;
let reference: SileroReference;
const clients: RpcClient[] = [];

beforeAll(async () => {
  reference = await SileroReference.load();
  subnet = await Subnet.start({
    hosters: 2,
    hosterConfig: { only: [MODEL, 'g2p'] },
    readyMs: READY_MS,
  });
  gateway = await Gateway.start(subnet, {
    inference: { http_listen: '127.0.0.1:0', sequence_idle_seconds: IDLE_SECONDS },
  });
  http = `http://127.0.0.1:${/"http_port":(\d+)/.exec(gateway.child.output)![1]!}`;
}, 2 * READY_MS);

afterAll(async () => {
  for (const client of clients) client.close();
  await gateway[Symbol.asyncDispose]();
  await subnet.stop();
});

function caller(member = 'client'): RpcClient {
  const client = new RpcClient(gateway.address, {
    authorizer: subnet.authorizer(member),
    keepalive: { timeoutMs: 60_000 },
  });
  clients.push(client);
  return client;
}

type Answer = { readonly raw_output_contents: readonly Buffer[] };

function request(
  audio: Float32Array,
  marks: { id?: string; start?: boolean; end?: boolean; model?: string } = {},
) {
  const { id, start = false, end = false, model = MODEL } = marks;
  return {
    model_name: model,
    inputs: [{ name: 'audio', datatype: 'FP32', shape: [String(audio.length)] }],
    raw_input_contents: [Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength)],
    ...(id !== undefined && {
      parameters: {
        sequence_id: { string_param: id },
        sequence_start: { bool_param: start },
        sequence_end: { bool_param: end },
      },
    }),
  };
}

const infer = (client: RpcClient, ...asked: Parameters<typeof request>) =>
  client.unary(InferenceService.ModelInfer, request(...asked), within);

function values(answers: readonly Answer[]): Float32Array {
  const bytes = Buffer.concat(answers.flatMap(({ raw_output_contents: raw }) => raw));
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

const held = async (): Promise<number> =>
  total(await scrape(gateway.admin), 'cabstand_gateway_sessions');

/** The hoster that has the only session there is. */
async function killTheOneInUse(): Promise<number> {
  const index = await until('a hoster with the session', async () => {
    const open = await Promise.all(
      subnet.hosters.map(async ({ admin }) => total(await scrape(admin), 'cabstand_open_sessions')),
    );
    const found = open.findIndex((count) => count > 0);
    return found < 0 ? undefined : found;
  });
  const { child } = subnet.hosters[index]!;
  child.kill('SIGKILL');
  await child.exited;
  return index;
}

async function startAgain(index: number): Promise<void> {
  subnet.hosters[index] = await subnet.startHoster(index, subnet.hosters[index]);
  await subnet.ready(subnet.hosters[index]);
  await until('all hosters to be known', async () => {
    const nodes = total(await scrape(subnet.routers[0]!.admin), 'cabstand_nodes', {
      state: 'ONLINE',
    });
    return nodes === subnet.hosters.length || undefined;
  });
}

test('a sequence survives its hoster, bit for bit, and others have none of that name', async () => {
  const client = caller();
  const audio = variation(recording, 1, FRAME * 30);
  const part = (from: number, to: number): Float32Array => audio.subarray(FRAME * from, FRAME * to);
  const answers = [await infer(client, part(0, 10), { id: 'seq', start: true })];
  const index = await killTheOneInUse();
  answers.push(await infer(client, part(10, 20), { id: 'seq' }));
  const strange = infer(caller('admin'), part(20, 30), { id: 'seq' });
  expect((await refusalOf(strange)).reason).toBe('SESSION_UNKNOWN');
  answers.push(await infer(client, part(20, 30), { id: 'seq', end: true }));
  expect(values(answers)).toEqual(await reference.probabilities(audio));
  await startAgain(index);
  const after = infer(client, part(0, 1), { id: 'seq' });
  expect((await refusalOf(after)).reason).toBe('SESSION_UNKNOWN');
  await until('all to be let go of', async () => (await held()) === 0 || undefined);
});

test('a stream of answers goes on through the death of its hoster', async () => {
  const frames = 4000;
  const audio = variation(recording, 2, FRAME * frames);
  const stream = caller().bidi(InferenceService.ModelStreamInfer, within);
  await stream.send(request(audio));
  const answers: Answer[] = [];
  let finals = 0;
  let killed: number | undefined;
  for await (const { infer_response: answer, error_message: problem } of stream.responses) {
    expect(problem).toBe('');
    answers.push(answer!);
    if (answer!.parameters['triton_final_response']?.bool_param === true) {
      finals++;
      stream.end();
    }
    if (answers.length === 200) killed = await killTheOneInUse();
  }
  expect([answers.length, finals]).toEqual([frames, 1]);
  expect(values(answers)).toEqual(await reference.probabilities(audio));
  await startAgain(killed!);
});

test('a first request that is refused begins nothing', async () => {
  const client = caller();
  const loud = new Float32Array(FRAME).fill(9);
  const fine = new Float32Array(FRAME);
  const start = infer(client, loud, { id: 'loud', start: true });
  expect((await refusalOf(start)).reason).toBe('INPUT_OUT_OF_RANGE');
  expect((await refusalOf(infer(client, fine, { id: 'loud' }))).reason).toBe('SESSION_UNKNOWN');
  await infer(client, fine, { id: 'loud', start: true });
  // Later ones leave the sequence as it was.
  expect((await refusalOf(infer(client, loud, { id: 'loud' }))).reason).toBe('INPUT_OUT_OF_RANGE');
  await infer(client, fine, { id: 'loud', end: true });
  expect(await held()).toBe(0);
});

test('a sequence that nobody goes on with ends here and at its hoster', async () => {
  const client = caller();
  await infer(client, new Float32Array(FRAME), { id: 'left', start: true });
  expect(await held()).toBe(1);
  const open = async (): Promise<number> => {
    const pages = await Promise.all(subnet.hosters.map(({ admin }) => scrape(admin)));
    return pages.reduce((sum, page) => sum + total(page, 'cabstand_open_sessions'), 0);
  };
  await until('its end', async () => (await held()) + (await open()) === 0 || undefined);
  const late = infer(client, new Float32Array(FRAME), { id: 'left' });
  expect((await refusalOf(late)).reason).toBe('SESSION_UNKNOWN');
});

test('it says what there is, and that models are the hosters’ own', async () => {
  const client = caller('admin');
  expect(await client.unary(InferenceService.ServerReady, {}, within)).toEqual({ ready: true });
  const index = await client.unary(InferenceService.RepositoryIndex, {}, within);
  const listed = index.models.map(({ name, state }) => `${name} ${state}`).sort();
  expect(listed).toEqual(['g2p READY', 'silero-vad READY']);
  const { outputs } = await client.unary(InferenceService.ModelMetadata, { name: 'g2p' }, within);
  expect(outputs.map(({ name }) => name)).toEqual(['token', 'text']);
  const load = client.unary(InferenceService.RepositoryModelLoad, { model_name: MODEL }, within);
  const refusal = await refusalOf(load);
  expect(refusal.reason).toBe('UNIMPLEMENTED');
  expect(refusal.message).toContain('at hosters');
  const unknown = infer(client, new Float32Array(FRAME), { model: 'nothing' });
  expect((await refusalOf(unknown)).reason).toBe('MODEL_UNKNOWN');
});

test('the same over HTTP', async () => {
  const key = readPrivateKey(subnetPaths(subnet.keys).key('client'));
  const authorization = `Bearer ${await new MintedTokens({ key }).get(gateway.address)}`;
  const prompt = { name: 'prompt', datatype: 'BYTES', shape: [1], data: ['taxi'] };
  const ask = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${http}/v2/models/g2p/infer`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ inputs: [prompt] }),
    });
  expect((await ask({})).status).toBe(401);
  const answer = (await (await ask({ authorization })).json()) as {
    readonly outputs: readonly { readonly name: string; readonly data: readonly unknown[] }[];
  };
  expect(answer.outputs.find(({ name }) => name === 'text')?.data).toEqual(['T AE1 K S IY0']);
  const ready = await fetch(`${http}/v2/health/ready`, { headers: { authorization } });
  expect(ready.status).toBe(200);
});
