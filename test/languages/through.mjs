// What a caller with stubs of its own does through a proxy: one answer, many, a whole session, a refusal.
import { createRequire } from 'node:module';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { expect } from './report.mjs';

const require = createRequire(new URL('../package.json', import.meta.url));
const { Metadata, credentials, loadPackageDefinition } = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');
const { MintedTokens, readPrivateKey } = require('@cabstand/auth');
const { subnetPaths } = require('@cabstand/auth-admin');
const { REPOSITORY_ROOT } = require('@cabstand/testing');

const { cabstand } = loadPackageDefinition(
  loadSync('cabstand/v1/hoster.proto', {
    keepCase: true,
    longs: Number,
    enums: String,
    oneofs: true,
    includeDirs: [path.join(REPOSITORY_ROOT, 'proto')],
  }),
);
const PATIENCE_MS = 60_000;
const FRAME = 512;
/** Two bytes each: in all more than nginx takes of one request where nobody tells it. */
const PARTS = 40;
const SAMPLES = 64 * FRAME;

export class Caller {
  constructor(subnet, address) {
    const paths = subnetPaths(subnet.keys);
    const ca = readFileSync(paths.ca);
    // Node warns of names that are numbers.
    const options = { 'grpc.ssl_target_name_override': 'localhost' };
    this.stub = new cabstand.v1.HosterService(address, credentials.createSsl(ca), options);
    this.tokens = new MintedTokens({ key: readPrivateKey(paths.key('client')) });
    this.address = address;
  }

  async metadata() {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${await this.tokens.get(this.address)}`);
    return metadata;
  }

  close() {
    this.stub.close();
  }

  /** One answer. */
  async models() {
    const metadata = await this.metadata();
    const { models } = await new Promise((resolve, reject) =>
      this.stub.rpc_info({}, metadata, { deadline: Date.now() + PATIENCE_MS }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      ),
    );
    expect(models.length === 2, `got ${models.length} models, expected 2`);
  }

  /** A refusal with its details. */
  async refusal() {
    const request = { model: 'nobody-has-this', prompt: 'taxi' };
    const call = this.stub.rpc_inference_stream(request, await this.metadata(), {
      deadline: Date.now() + PATIENCE_MS,
    });
    call.on('data', () => undefined);
    const error = await new Promise((resolve) => {
      call.once('error', resolve).once('end', () => resolve(undefined));
    });
    const [details] = error?.metadata.get('grpc-status-details-bin') ?? [];
    expect(details?.includes('MODEL_UNKNOWN'), `expected MODEL_UNKNOWN in details: ${error}`);
  }

  /** A session on one stream, opened; `events` has what came, `over` resolves with what ended it. */
  async open() {
    const call = this.stub.rpc_session_stream(await this.metadata(), {
      deadline: Date.now() + PATIENCE_MS,
    });
    const events = [];
    const opened = new Promise((resolve) => {
      call.on('data', (event) => {
        events.push(event);
        if (event.notice?.opened) resolve(undefined);
      });
    });
    const over = new Promise((resolve) => {
      call.once('error', resolve).once('end', () => resolve(undefined));
    });
    call.write({ open: { model: 'silero-vad' } });
    const failed = await Promise.race([opened, over]);
    if (failed !== undefined) throw failed;
    return { call, events, over };
  }

  /** Live input in parts, a whole turn, and the end that both sides know. */
  async session() {
    const { call, events, over } = await this.open();
    call.write({ turn: { turn: 0, live: true } });
    const audio = { name: 'audio', dtype: 'DATA_TYPE_INT16', shape: [SAMPLES] };
    const inputs = [{ ...audio, data: Buffer.alloc(2 * SAMPLES) }];
    for (let part = 0; part < PARTS; part++)
      if (!call.write({ input: { turn: 0, part, inputs } }))
        await Promise.race([new Promise((resolve) => call.once('drain', resolve)), over]);
    call.write({ input: { turn: 0, part: PARTS, last: true } });
    call.end();
    const error = await over;
    if (error !== undefined) throw error;
    const records = events.flatMap(({ record }) => record ?? []);
    const end = records.at(-1)?.end_of_turn;
    expect(end?.reason === 'END_REASON_COMPLETED', `the turn ended with ${JSON.stringify(end)}`);
    const steps = (PARTS * SAMPLES) / FRAME;
    expect(end.steps === steps, `got ${end.steps} steps, expected ${steps}`);
  }
}
