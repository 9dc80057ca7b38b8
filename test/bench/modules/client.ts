/** A client in a process of its own: one session at a time, one turn, whose records it counts. */
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Stream, Taken, ToClient } from './messages';

let records = 0;
let end: (() => Promise<void>) | undefined;

async function begin({ routers, auth, model, samples }: Stream): Promise<string> {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(auth));
  const remote = new RemoteManager({ routers, authorizer });
  const manager = new SessionManager(remote);
  const session = manager.session({ model, durable: false });
  const signal =
    samples === undefined ? undefined : { signal: new Float32Array(samples).fill(1e-6) };
  const chunks = session.runProtocolTask(undefined, signal);
  await chunks.next();
  const read = async (): Promise<void> => {
    for await (const _ of chunks) records += 1;
  };
  const reading = read();
  end = async () => {
    await session.cancelTurn();
    await reading;
    await manager.close();
    await remote.close();
  };
  return 'flows';
}

function take(): Taken {
  const { user, system } = process.cpuUsage();
  return { records, cpuSeconds: (user + system) / 1e6, at: performance.now() };
}

async function answer(message: ToClient): Promise<string | Taken> {
  if ('begin' in message) return await begin(message.begin);
  if ('take' in message) return take();
  await end?.();
  return 'over';
}

process.on('message', (message: ToClient) => {
  answer(message).then(
    (answered) => process.send?.(answered),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
