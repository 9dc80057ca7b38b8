/**
 * A client in a process of its own that goes on with an exported session: reads the rest of the turn,
 * runs one more, and sends what came out to its parent.
 */
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk } from '@cabstand/client';
import { tensorOf } from '@cabstand/tensor';
import { observe } from './stream';
import type { Observed } from './stream';

export interface ContinueJob {
  readonly routers: readonly string[];
  readonly auth: AuthConfigInput;
  readonly handle: string;
  /** Samples of one more turn. */
  readonly input: string;
  readonly samples: readonly number[];
}

export type ContinueResult =
  | { readonly rest: readonly Observed[]; readonly more: readonly Observed[] }
  | { readonly reason: string };

async function work(job: ContinueJob): Promise<ContinueResult> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(job.auth));
  await using remote = new RemoteManager({ routers: job.routers, authorizer });
  await using sessions = new SessionManager(remote);
  const session = sessions.import(job.handle);
  try {
    const rest = session.turnPending ? await readAll(session.continueTurn()) : [];
    const samples = tensorOf(job.input, Float32Array.from(job.samples));
    const more = await readAll(session.runProtocolTask(undefined, [samples]));
    return { rest, more };
  } catch (error) {
    return { reason: (error as { reason?: string }).reason ?? String(error) };
  } finally {
    // Whoever exported it may want it back.
    await session.detach();
  }
}

async function readAll(chunks: AsyncIterable<Chunk>): Promise<Observed[]> {
  const all: Observed[] = [];
  for await (const chunk of chunks) all.push(observe(chunk));
  return all;
}

process.once('message', (job: ContinueJob) => {
  work(job).then(
    (result) => process.send?.(result, () => process.disconnect()),
    (error: unknown) => process.send?.({ reason: String(error) }, () => process.disconnect()),
  );
});
