import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { sleep } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { Authorizer, OutgoingRequest } from '@cabstand/rpc';
import type { Subnet } from '@cabstand/testing';
import { deadlineMs } from './call';
import type { Call, Outcome, Step, Target } from './call';

/** A call without a status so long after its deadline is stuck in gRPC itself. */
const GRACE_MS = 5000;
/** Connections are made anew after so many calls, so that they are fuzzed, too. */
const CALLS_A_CONNECTION = 1000;
/** A caller who waits for replies goes on after this. */
const REPLY_PATIENCE_MS = 2000;

const identity = (bytes: Buffer): Buffer => bytes;
const OPTIONS = {
  'grpc.max_send_message_length': -1,
  'grpc.max_receive_message_length': -1,
  'grpc.use_local_subchannel_pool': 1,
};

/** A client that sends any bytes to any method, with valid credentials. */
export class Caller {
  readonly #addresses: Readonly<Record<Target, string>>;
  readonly #authorizers = new Map<string, Authorizer>();
  readonly #clients = new Map<Target, { client: Client; calls: number; made: number }>();
  readonly #subnet: Subnet;

  constructor(subnet: Subnet) {
    this.#subnet = subnet;
    const [router, first, second] = [...subnet.routers, ...subnet.hosters];
    if (router === undefined || first === undefined || second === undefined)
      throw new Error('a router and two hosters are needed');
    this.#addresses = {
      ...{ router: router.dialled, 'hoster-0': first.dialled, 'hoster-1': second.dialled },
    };
  }

  addressOf(target: Target): string {
    return this.#addresses[target];
  }

  async run(call: Call): Promise<Outcome> {
    const begun = performance.now();
    const { metadata, answered } = await this.#sign(call);
    const { client, left } = this.#enter(call.target);
    const replies: Buffer[] = [];
    const stream = client.makeBidiStreamRequest(call.path, identity, identity, metadata, {
      deadline: Date.now() + deadlineMs(call),
    });
    stream.on('data', (reply: Buffer) => replies.push(reply));
    // So that calls after it are proved by MACs, too.
    stream.on('metadata', answered);
    // It tells what the status tells.
    stream.on('error', () => undefined);
    const status = new Promise<StatusObject | undefined>((resolve) => {
      const late = setTimeout(() => resolve(undefined), deadlineMs(call) + GRACE_MS);
      stream.once('status', (end) => {
        clearTimeout(late);
        resolve(end);
      });
    });
    const at = { end: false };
    const ended = status.finally(() => (at.end = true));
    for (const step of call.steps) {
      if (at.end) break;
      await take(step, stream, replies, ended);
    }
    const end = await ended;
    left();
    const details = end?.metadata.get('grpc-status-details-bin')[0];
    return {
      ...{ code: end?.code, message: end?.details ?? '', replies },
      details: Buffer.isBuffer(details) ? details : undefined,
      ms: performance.now() - begun,
    };
  }

  close(): void {
    for (const { client } of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  /** A connection; it is closed when it has had its calls and the last of them is over. */
  #enter(target: Target): { readonly client: Client; readonly left: () => void } {
    let entry = this.#clients.get(target);
    if (entry === undefined) {
      const client = new Client(this.#addresses[target], credentials.createInsecure(), OPTIONS);
      entry = { client, calls: 0, made: 0 };
      this.#clients.set(target, entry);
    }
    const mine = entry;
    mine.calls += 1;
    mine.made += 1;
    if (mine.made >= CALLS_A_CONNECTION) this.#clients.delete(target);
    return {
      client: mine.client,
      left: () => {
        mine.calls -= 1;
        if (mine.calls === 0 && mine.made >= CALLS_A_CONNECTION) mine.client.close();
      },
    };
  }

  async #sign({ member, scheme, target, path, requestStream, steps }: Call): Promise<Signed> {
    const name = `${member} ${scheme}`;
    let authorizer = this.#authorizers.get(name);
    if (authorizer === undefined) {
      const config = { ...this.#subnet.authConfig(member), scheme };
      authorizer = createClientAuthorizer(authConfigSchema.parse(config));
      this.#authorizers.set(name, authorizer);
    }
    const first = steps.find((step) => step.do === 'send');
    const caller = authorizer;
    const request: OutgoingRequest = {
      ...{ method: path, audience: this.#addresses[target] },
      body: requestStream ? undefined : (first?.bytes ?? Buffer.alloc(0)),
    };
    const headers = await caller.signRequest(request);
    const metadata = new Metadata();
    for (const [header, value] of Object.entries(headers)) metadata.set(header, value);
    const answered = (answer: Metadata): void => void caller.validateResponse(request, answer);
    return { metadata, answered };
  }
}

interface Signed {
  readonly metadata: Metadata;
  /** Takes the headers of the answer. */
  readonly answered: (answer: Metadata) => void;
}

async function take(
  step: Step,
  stream: ClientDuplexStream<Buffer, Buffer>,
  replies: readonly Buffer[],
  ended: Promise<unknown>,
): Promise<void> {
  switch (step.do) {
    case 'send':
      stream.write(step.bytes);
      return;
    case 'end':
      stream.end();
      return;
    case 'cancel':
      stream.cancel();
      return;
    case 'wait':
      await Promise.race([sleep(step.ms), ended]);
      return;
    case 'replies':
      await until(() => replies.length >= step.count, stream, ended);
      return;
    case 'turns': {
      let seen = 0;
      let turns = 0;
      await until(
        () => {
          for (; seen < replies.length; seen++) turns += endsTurn(replies[seen]) ? 1 : 0;
          return turns >= step.count;
        },
        stream,
        ended,
      );
    }
  }
}

function endsTurn(reply: Buffer | undefined): boolean {
  if (reply === undefined) return false;
  return Boolean(HosterService.rpc_session_stream.response.decode(reply).record?.end_of_turn);
}

/** Waits until what came is enough, for a moment or until the call is over. */
async function until(
  enough: () => boolean,
  stream: ClientDuplexStream<Buffer, Buffer>,
  ended: Promise<unknown>,
): Promise<void> {
  const end = performance.now() + REPLY_PATIENCE_MS;
  while (!enough() && performance.now() < end) {
    const more = new Promise((resolve) => stream.once('data', resolve));
    const over = await Promise.race([more, sleep(REPLY_PATIENCE_MS), ended.then(() => true)]);
    if (over === true) return;
  }
}
