import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type {
  ChannelCredentials,
  Client,
  ClientDuplexStream,
  ClientReadableStream,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import type { RemoteManager } from '@cabstand/client';
import { CabstandError, sleep } from '@cabstand/core';
import { fromStatus } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { tensorsFromWire, toWire } from '@cabstand/tensor';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import type { Script, ScriptTurn } from './scripts';
import { observe } from './stream';
import type { Generated, Observation, Observed, ObservedTurn, StreamOptions } from './stream';
import { Watched } from './watched';

type Call = ClientDuplexStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;
type TurnCall = ClientReadableStream<v1.InferenceStreamResponse__Output>;
type Stub = Client & {
  rpc_session_stream(metadata: Metadata): Call;
  rpc_inference_stream(request: v1.InferenceStreamRequest, metadata: Metadata): TurnCall;
};

/** What grpc-js makes of the contract, as far as it is used here. */
interface Stubs {
  readonly cabstand: {
    readonly v1: {
      readonly HosterService: new (address: string, channel: ChannelCredentials) => Stub;
    };
  };
}

/** All that a caller of a gateway needs: a channel, stubs of the contract, a token. */
export class PlainCaller implements Disposable {
  readonly #address: string;
  readonly #stub: Stub;
  readonly #tokens: MintedTokens;

  constructor(address: string, keyFile: string) {
    const loaded = loadSync(['cabstand/v1/hoster.proto'], {
      ...{ keepCase: true, longs: Number, enums: String, defaults: true },
      includeDirs: [path.join(REPOSITORY_ROOT, 'proto')],
    });
    const { cabstand } = loadPackageDefinition(loaded) as unknown as Stubs;
    this.#address = address;
    this.#stub = new cabstand.v1.HosterService(address, credentials.createInsecure());
    this.#tokens = new MintedTokens({ key: readPrivateKey(keyFile) });
  }

  async session(): Promise<Call> {
    return this.#stub.rpc_session_stream(await this.#metadata());
  }

  async turn(request: v1.InferenceStreamRequest): Promise<TurnCall> {
    return this.#stub.rpc_inference_stream(request, await this.#metadata());
  }

  async #metadata(): Promise<Metadata> {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${await this.#tokens.get(this.#address)}`);
    return metadata;
  }

  [Symbol.dispose](): void {
    this.#stub.close();
  }
}

const FINISHES: Readonly<Record<string, Generated['finish']>> = {
  FINISH_REASON_STOP: 'stop',
  FINISH_REASON_LENGTH: 'length',
};

/** How often routers are asked who has a stream. */
const LOCATE_MS = 500;

/** A script of turns on one call to a gateway, as a program without a client library has it. */
export class PlainStream extends Watched {
  readonly script: Script;
  readonly #caller: PlainCaller;
  readonly #remote: RemoteManager;
  readonly #options: StreamOptions;
  readonly #id = randomUUID();
  #position = 0;
  #node: string | undefined;

  /** @param remote says from outside which hoster has it: its caller does not know */
  constructor(script: Script, caller: PlainCaller, remote: RemoteManager, options: StreamOptions) {
    super();
    this.script = script;
    this.#caller = caller;
    this.#remote = remote;
    this.#options = options;
  }

  get name(): string {
    return this.script.name;
  }

  get model(): string {
    return this.script.model;
  }

  override get group(): string {
    return this.script.group ?? this.model;
  }

  override get node(): string | undefined {
    return this.#node;
  }

  override get position(): number {
    return this.#position;
  }

  /** Runs the whole script; what goes wrong is part of the observation. */
  async run(): Promise<Observation> {
    const { signal, turnMs = 0 } = this.#options;
    const turns: ObservedTurn[] = [];
    const locating = setInterval(() => void this.#locate(), LOCATE_MS);
    const call = await this.#caller.session();
    const cancel = (): void => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const responses = call[Symbol.asyncIterator]();
      call.write({ open: { model: this.model, session_id: this.#id, durable: true } });
      for (const [number, turn] of this.script.turns.entries()) {
        const observed = await this.#turn(call, responses, turn, number);
        turns.push(observed);
        if (observed.end.kind === 'failed') break;
        await sleep(turnMs, signal).catch(() => undefined);
      }
      call.write({ close: {} });
      call.end();
      while ((await responses.next()).done !== true);
    } catch (error) {
      // The turn that failed has said so.
      this.note(`the call ended: ${String(error)}`);
    } finally {
      clearInterval(locating);
      signal?.removeEventListener('abort', cancel);
      call.cancel();
    }
    return { script: this.script, turns };
  }

  async #turn(
    call: Call,
    responses: AsyncIterator<v1.SessionStreamResponse__Output>,
    turn: ScriptTurn,
    number: number,
  ): Promise<ObservedTurn> {
    const chunks: Observed[] = [];
    try {
      const writing = this.#write(call, turn, number);
      // It fails with what reading fails with.
      writing.catch(() => undefined);
      const end = await this.#read(responses, chunks);
      await writing;
      return { chunks, end: { kind: 'ended', ...end, position: this.#position } };
    } catch (thrown) {
      const error = errorOf(thrown);
      this.note(`failed: ${String(error)}`);
      return { chunks, end: { kind: 'failed', error } };
    } finally {
      this.flowing = false;
    }
  }

  async #read(
    responses: AsyncIterator<v1.SessionStreamResponse__Output>,
    chunks: Observed[],
  ): Promise<{ readonly reason: string; readonly generation?: Generated }> {
    const { readMs = 0, signal } = this.#options;
    for (;;) {
      const next = await responses.next();
      if (next.done === true) throw new Error('the stream ended within a turn');
      const { record } = next.value;
      if (!record) continue;
      this.#position = record.position + 1;
      if (record.end_of_turn) {
        const { reason, error, generation } = record.end_of_turn;
        if (error !== null && error.reason !== '')
          throw new CabstandError(
            'INTERNAL',
            `the turn ended in ${error.reason}: ${error.message}`,
          );
        return {
          reason: reason.replace('END_REASON_', '').toLowerCase(),
          ...(generation && { generation: generatedOf(generation) }),
        };
      }
      if (!record.chunk) continue;
      const { text, outputs } = record.chunk;
      const tensors = tensorsFromWire(outputs);
      chunks.push(observe({ position: record.position, text, tensors }));
      this.seen();
      if (readMs > 0) await sleep(readMs, signal);
    }
  }

  async #write(call: Call, turn: ScriptTurn, number: number): Promise<void> {
    const { writeMs = 0, signal } = this.#options;
    if (turn.kind === 'whole') {
      const parameters = turn.parameters === undefined ? '' : JSON.stringify(turn.parameters);
      const inputs = turn.tensors.map((one) => toWire(one));
      const input = { prompt: turn.prompt ?? '', inputs, parameters };
      call.write({ turn: { turn: number, input } });
      return;
    }
    call.write({ turn: { turn: number, live: true } });
    for (const [part, tensors] of [...turn.parts, []].entries()) {
      const last = part === turn.parts.length;
      const input = { turn: number, part, inputs: tensors.map((one) => toWire(one)), last };
      if (!call.write({ input })) await once(call, 'drain', signal ? { signal } : {});
      if (writeMs > 0) await sleep(writeMs, signal);
    }
  }

  async #locate(): Promise<void> {
    // While no router answers, it is where it was.
    const [node] = await this.#remote.locate(this.#id).catch(() => []);
    if (node === undefined || node.address === this.#node) return;
    this.#node = node.address;
    this.note('is here now');
  }
}

/** As the client library tells it. */
function generatedOf(told: v1.Generation__Output): Generated {
  const finish = FINISHES[told.finish];
  return {
    ...(finish !== undefined && { finish }),
    prompt: told.prompt_tokens,
    answer: told.answer_tokens,
  };
}

/** What the call failed with, as the checker tells errors apart. */
export function errorOf(thrown: unknown): unknown {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return thrown;
  const { code, details, metadata } = thrown as {
    readonly code: unknown;
    readonly details?: string;
    readonly metadata?: Metadata;
  };
  return typeof code === 'number' ? fromStatus(code, details ?? '', metadata) : thrown;
}
