/** Callers that know two gateways and nothing of Cabstand but its contract: they ask the other one where one broke. */
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { CabstandError, isReason } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { tensorFromJson, tensorsFromWire, toWire } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { sseEvents } from '../../support/sse';
import { PlainCaller, errorOf } from '../plain-stream';
import type { ScriptTurn } from '../scripts';
import { observe } from '../stream';
import type { Observed } from '../stream';
import type { GatewayNode } from './node';

/** A turn, or what is left of it. */
export interface AskedTurn {
  readonly session: string;
  readonly model: string;
  readonly number: number;
  readonly turn: Extract<ScriptTurn, { kind: 'whole' }>;
  /** The position of the record that is wanted next. */
  readonly next: number;
}

/** What the end of the turn before told, in the words of whoever told it. */
type Checkpoints<C> = Map<string, C>;

export type Got =
  | { readonly kind: 'chunk'; readonly position: number; readonly observed: Observed }
  | { readonly kind: 'other'; readonly position: number }
  | { readonly kind: 'end'; readonly position: number; readonly reason: string };

export interface TwoGateways {
  /** The records of a turn from one of the two. Throws CabstandErrors, and what a broken connection gives. */
  turn(gateway: number, asked: AskedTurn): AsyncIterable<Got>;
  close(gateway: number, session: string): Promise<void>;
}

/** With stubs that gRPC made of the contract: a call for each turn, sent again with its position and a checkpoint. */
export class GrpcCaller implements TwoGateways, Disposable {
  readonly #callers: readonly PlainCaller[];
  readonly #checkpoints: Checkpoints<v1.Checkpoint__Output> = new Map();

  constructor(gateways: readonly GatewayNode[], keyFile: string) {
    this.#callers = gateways.map(({ address }) => new PlainCaller(address, keyFile));
  }

  async *turn(gateway: number, asked: AskedTurn): AsyncGenerator<Got> {
    const { session, model, number, turn, next } = asked;
    const checkpoint = this.#checkpoints.get(session);
    const call = await this.#callers[gateway]!.turn({
      ...{ session_id: session, durable: true, model, turn: number, from_position: next },
      prompt: turn.prompt ?? '',
      inputs: turn.tensors.map((one) => toWire(one)),
      ...(checkpoint === undefined ? {} : { resume: { checkpoint } }),
    });
    try {
      const responses = call as AsyncIterable<v1.InferenceStreamResponse__Output>;
      for await (const { record } of responses) {
        if (!record) continue;
        const { position, chunk, end_of_turn: end } = record;
        if (end) {
          if (end.error && end.error.reason !== '')
            throw new CabstandError('INTERNAL', `the turn ended in ${end.error.reason}`);
          if (end.checkpoint) this.#checkpoints.set(session, end.checkpoint);
          const reason = end.reason.replace('END_REASON_', '').toLowerCase();
          yield { kind: 'end', position, reason };
        } else if (chunk) {
          const { text, outputs } = chunk;
          const observed = observe({ position, text, tensors: tensorsFromWire(outputs) });
          yield { kind: 'chunk', position, observed };
        } else yield { kind: 'other', position };
      }
    } catch (thrown) {
      throw errorOf(thrown);
    } finally {
      call.cancel();
    }
  }

  // It ends when nobody comes back to it.
  close(_gateway: number, session: string): Promise<void> {
    this.#checkpoints.delete(session);
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    for (const caller of this.#callers) caller[Symbol.dispose]();
  }
}

interface JsonTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What a gateway goes on with that did not begin the turn comes as a list. */
  readonly base64?: string;
  readonly data?: readonly (number | string | boolean)[];
}

function tensorOf([name, { dtype, shape, base64, data = [] }]: [string, JsonTensor]): Tensor {
  if (base64 !== undefined) return { name, dtype, shape, data: Buffer.from(base64, 'base64') };
  return tensorFromJson(name, dtype, data, shape, (value) => {
    throw new Error(`${String(value)} is no ${dtype}`);
  });
}

/** With nothing but HTTP: events of turns that are sent again with Last-Event-ID and a checkpoint. */
export class EventCaller implements TwoGateways {
  readonly #gateways: readonly GatewayNode[];
  readonly #tokens: MintedTokens;
  readonly #checkpoints: Checkpoints<unknown> = new Map();

  constructor(gateways: readonly GatewayNode[], keyFile: string) {
    this.#gateways = gateways;
    this.#tokens = new MintedTokens({ key: readPrivateKey(keyFile) });
  }

  async *turn(gateway: number, asked: AskedTurn): AsyncGenerator<Got> {
    for await (const { id: position, type, data } of sseEvents(await this.#answer(gateway, asked)))
      if (type === 'error') throw refusal(data);
      else if (position === undefined) continue;
      else if (type === 'end') {
        if (data['error'] !== undefined) throw refusal(data['error']);
        this.#checkpoints.set(asked.session, data['checkpoint']);
        yield { kind: 'end', position, reason: String(data['reason']) };
      } else if (type === 'chunk') {
        const text = String(data['text']);
        const given = Object.entries(data['tensors'] as Record<string, JsonTensor>);
        const tensors = given.map(tensorOf);
        yield { kind: 'chunk', position, observed: observe({ position, text, tensors }) };
      } else yield { kind: 'other', position };
  }

  async close(gateway: number, session: string): Promise<void> {
    this.#checkpoints.delete(session);
    await this.#ask(gateway, 'DELETE', `/${session}`, 0);
  }

  async #answer(gateway: number, asked: AskedTurn): Promise<Response> {
    const { session, model, number, turn, next } = asked;
    const tensors = turn.tensors.map(({ name, dtype, shape, data }) => [
      name,
      { dtype, shape, base64: Buffer.from(data).toString('base64') },
    ]);
    const body = {
      ...{ prompt: turn.prompt ?? '', tensors: Object.fromEntries(tensors) as unknown },
      elements: 'base64',
    };
    if (number > 0) {
      const checkpoint = this.#checkpoints.get(session);
      const again = { ...body, turn: number, checkpoint };
      return await this.#ask(gateway, 'POST', `/${session}/turns`, next, again);
    }
    const opening = { ...body, model, session_id: session, durable: true };
    try {
      return await this.#ask(gateway, 'POST', '', next, opening);
    } catch (error) {
      // The other gateway opened it.
      if (!CabstandError.is(error) || error.reason !== 'SESSION_EXISTS') throw error;
      const answer = await this.#ask(gateway, 'GET', `/${session}/events`, next);
      if (answer.status === 200) return answer;
      // That one died before it began the turn.
      return await this.#ask(gateway, 'POST', `/${session}/turns`, next, { ...body, turn: 0 });
    }
  }

  async #ask(
    gateway: number,
    method: string,
    path: string,
    next: number,
    body?: unknown,
  ): Promise<Response> {
    const { http, address } = this.#gateways[gateway]!;
    const response = await fetch(`http://${http}/v1/sessions${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await this.#tokens.get(address)}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(next === 0 ? {} : { 'last-event-id': String(next - 1) }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (response.ok) return response;
    throw refusal(((await response.json()) as { readonly error: unknown }).error);
  }
}

function refusal(told: unknown): CabstandError {
  const { reason, message, metadata } = told as {
    readonly reason: string;
    readonly message: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
  return new CabstandError(isReason(reason) ? reason : 'INTERNAL', message, { metadata });
}
