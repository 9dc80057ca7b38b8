/** The hoster's handlers behind a real server, on real engines, with callers who only say who they are. */
import { NO_AUDIT } from '@cabstand/service';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { systemClock } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import { authConfigSchema, createSealer } from '@cabstand/auth-admin';
import type { TicketVerifier } from '@cabstand/auth';
import { HosterService, RpcClient, RpcServer } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { float32Of, fromWire, tensorOf, toWire } from '@cabstand/tensor';
import type { SessionOptions } from '@cabstand/sessions';
import { Sessions } from '@cabstand/sessions';
import type { ModelHost } from '../models/model-host';
import { hosterHandlers } from './index';

export const BUNDLED = path.resolve(__dirname, '../../../../models');
const SPEECH = path.resolve(__dirname, '../../../../test/assets/speech.wav');
const WAV_HEADER_BYTES = 44;

export const identity = { nodeId: 'node-1', incarnation: 'incarnation-1', version: '0.1.0' };

const bySelfIntroduction: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: ({ metadata }) => {
    const id = String(metadata.get('who')[0] ?? 'alice');
    return Promise.resolve({ id, roles: new Set(['client', 'admin'] as const) });
  },
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

export function introducing(who: string): Authorizer {
  return { ...bySelfIntroduction, signRequest: () => Promise.resolve({ who }) };
}

export class Harness {
  readonly leases: string[] = [];
  readonly #clients: RpcClient[] = [];

  private constructor(
    readonly sessions: Sessions,
    readonly server: RpcServer,
    readonly port: number,
  ) {}

  static async start(
    host: ModelHost,
    options: SessionOptions = {},
    tickets: TicketVerifier = ticketVerifier(),
  ): Promise<Harness> {
    const sealer = createSealer(authConfigSchema.parse({}));
    const sessions = new Sessions({ host, clock: systemClock, sealer, options });
    const server = new RpcServer({ authorizer: bySelfIntroduction });
    const harness = { current: undefined as Harness | undefined };
    server.addService(
      HosterService,
      hosterHandlers({
        sessions,
        host,
        audit: NO_AUDIT,
        identity,
        tickets,
        leaseConsumed: (lease) => harness.current?.leases.push(lease),
        limits: { maxMessageBytes: 16 * 1024 * 1024 },
        unloadDeadlineMs: 1000,
      }),
    );
    const port = await server.listen('127.0.0.1:0');
    harness.current = new Harness(sessions, server, port);
    return harness.current;
  }

  client(who = 'alice', maxMessageBytes = 64 * 1024 * 1024): RpcClient {
    const client = new RpcClient(`127.0.0.1:${this.port}`, {
      authorizer: introducing(who),
      maxMessageBytes,
      // Server and callers are one process, which may have much else to do: that is no hoster out of reach.
      connectTimeoutMs: 20_000,
    });
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server.shutdown(1000);
    for (const session of [...this.sessions.all()]) session.abort({ reason: 'stopped' });
  }
}

export function epoch(counter = 1, owner = Buffer.alloc(16, 1)): v1.Epoch {
  return { counter, owner };
}

export function uniqueId(): string {
  return `s-${randomBytes(8).toString('hex')}`;
}

/** A turn of Silero over audio: one record for each 512 samples. */
export function audioTurn(
  audio: Float32Array,
  more: v1.InferenceStreamRequest = {},
): v1.InferenceStreamRequest {
  return { model: 'silero-vad', inputs: [toWire(tensorOf('audio', audio))], ...more };
}

/** Recorded speech, 16 kHz. */
export function speech(): Float32Array {
  const pcm = readFileSync(SPEECH).subarray(WAV_HEADER_BYTES);
  return Float32Array.from(
    { length: Math.floor(pcm.length / 2) },
    (_, i) => pcm.readInt16LE(i * 2) / 32768,
  );
}

export interface Heard {
  readonly notices: v1.Notice__Output[];
  readonly records: v1.Record__Output[];
}

type Response = v1.InferenceStreamResponse__Output | v1.SessionStreamResponse__Output;

/** Reads a stream to its end, or until `enough`. */
export async function hear(
  stream: AsyncIterable<Response>,
  enough: (heard: Heard) => boolean = () => false,
): Promise<Heard> {
  const heard: Heard = { notices: [], records: [] };
  for await (const { notice, record } of stream) {
    if (notice) heard.notices.push(notice);
    if (record) heard.records.push(record);
    if (enough(heard)) break;
  }
  return heard;
}

/** The speech probabilities in records. */
export function probabilities(records: readonly v1.Record__Output[]): number[] {
  return records.flatMap(({ chunk }) => {
    const output = chunk?.outputs[0];
    return output === undefined ? [] : [...float32Of(fromWire(output))];
  });
}

/** Waits for what other processes do. */
export async function until(what: () => boolean, ms = 15_000): Promise<void> {
  const end = performance.now() + ms;
  while (!what() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(what()).toBe(true);
}
