/**
 * A client in a process of its own: opens sessions of Silero VAD, streams a turn through each at the
 * same time, and sends what came out to its parent.
 */
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { speech, variation } from './audio';
import { probabilities } from './client';

export interface ClientJob {
  readonly routers: readonly string[];
  readonly auth: AuthConfigInput;
  /** Numbers of the variations of the recording to send, one session each. */
  readonly numbers: readonly number[];
  readonly samples: number;
}

export interface ClientResult {
  readonly number: number;
  readonly node: string;
  readonly values: readonly number[];
}

async function work(job: ClientJob): Promise<ClientResult[]> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(job.auth));
  const remote = new RemoteManager({ routers: job.routers, authorizer });
  const sessions = new SessionManager(remote);
  const recording = speech();
  const results = await Promise.all(
    job.numbers.map(async (number) => {
      await using session = sessions.session({ model: 'silero-vad' });
      const audio = variation(recording, number, job.samples);
      const values = await probabilities(session.runProtocolTask(undefined, { audio }));
      return { number, node: session.node?.address ?? '', values: [...values] };
    }),
  );
  await sessions.close();
  await remote.close();
  return results;
}

process.once('message', (job: ClientJob) => {
  work(job).then(
    (results) => process.send?.({ results }, () => process.disconnect()),
    (error: unknown) => process.send?.({ error: String(error) }, () => process.disconnect()),
  );
});
