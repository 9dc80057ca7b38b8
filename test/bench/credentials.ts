/** What the credentials of a call cost the processor, on either side, without gRPC and without a network. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import {
  authConfigSchema,
  createClientAuthorizer,
  createServerAuthorizer,
  generateSubnetKeys,
  subnetPaths,
} from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { sleep } from '@cabstand/core';
import type { Authorizer } from '@cabstand/rpc';
import { span } from './peers/figures';
import { heading, print } from './report';

export interface CredentialsBench {
  /** Of each way, in turns. */
  readonly trials: number;
}

const ADDRESS = '127.0.0.1:50050';
const METHOD = '/cabstand.v1.RouterService/rpc_acquire';
const BODY = Buffer.alloc(120, 1);
/** Calls of a trial, made in batches, so that each side's part is long enough to be measured. */
const CALLS = 2000;
const BATCH = 100;
const WARM_UP_CALLS = 500;
/** A server takes nothing that may have been signed before it started. */
const FRESH_MS = 1100;
const LIMITS = {
  ...{ max_nonces: 10_000_000, max_nonces_per_key: 10_000_000 },
  rate_limit: { requests_per_second: 1e9, burst: 1_000_000_000 },
};

const signed = { scheme: 'signature', mac_key_seconds: 0 } as const;
const macs = { scheme: 'signature' } as const;
const WAYS: Readonly<Record<string, Partial<AuthConfigInput>>> = {
  'signed, servers not checked': signed,
  'signed, servers checked': { ...signed, verify_servers: true },
  'MACs, servers not checked': macs,
  'MACs, servers checked': { ...macs, verify_servers: true },
  'a token, made from the key': { scheme: 'bearer' },
};

/** Microseconds a call. */
interface Trial {
  readonly client: number;
  readonly server: number;
}

export async function benchCredentials({ trials }: CredentialsBench): Promise<void> {
  heading('Credentials', `a call of ${String(BODY.length)} bytes; µs of processor time`);
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-credentials-'));
  try {
    await generateSubnetKeys({ folder });
    const paths = subnetPaths(folder);
    const config = (member: string, changes: Partial<AuthConfigInput>) =>
      authConfigSchema.parse({
        ...{ mode: 'keys', keys: paths.keys, key: paths.key(member), ...LIMITS },
        ...changes,
      });
    const server = createServerAuthorizer(config('router', {}), { audiences: [ADDRESS] });
    await sleep(FRESH_MS);
    const ways = Object.entries(WAYS).map(([what, changes]) => ({
      ...{ what, client: createClientAuthorizer(config('client', changes)) },
      seen: [] as Trial[],
    }));
    for (const { client } of ways) await run(client, server, 1, WARM_UP_CALLS);
    for (let trial = 0; trial < trials; trial++)
      for (const { client, seen } of ways) seen.push(await run(client, server, BATCH, CALLS));
    print(
      ways.flatMap(({ what, seen }) => [
        {
          what: `${what}: client`,
          value: span(
            seen.map(({ client }) => client),
            1,
          ),
        },
        {
          what: `${what}: server`,
          value: span(
            seen.map(({ server: at }) => at),
            1,
          ),
        },
      ]),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(
  client: Authorizer,
  server: Authorizer,
  batch: number,
  calls: number,
): Promise<Trial> {
  const took = { client: 0, server: 0 };
  for (let made = 0; made < calls; made += batch) {
    const requests = Array.from({ length: batch }, () => ({
      ...{ method: METHOD, audience: ADDRESS, body: BODY },
    }));
    const begun = processorUs();
    const sent = [];
    for (const request of requests) sent.push(toMetadata(await client.signRequest(request)));
    const signedUs = processorUs();
    const answers = [];
    for (const metadata of sent) {
      const request = { method: METHOD, metadata, body: BODY, peer: '127.0.0.1:40000' };
      await server.validateRequest(request);
      answers.push(toMetadata(await server.signResponse(request)));
    }
    const answeredUs = processorUs();
    for (const [i, request] of requests.entries())
      await client.validateResponse(request, answers[i] ?? new Metadata());
    took.client += signedUs - begun + (processorUs() - answeredUs);
    took.server += answeredUs - signedUs;
  }
  return { client: took.client / calls, server: took.server / calls };
}

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function toMetadata(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
