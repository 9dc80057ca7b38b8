import { RemoteManager, SessionManager } from '@cabstand/client';
import { BUNDLED_MODELS, Subnet, scrape, total } from '@cabstand/testing';
import { drain } from '../support/drain';
import { residentBytes } from '../support/processes';
import { heading, print } from './report';
import { format } from './stats';

const SESSIONS = 1000;
const FRAME = 512;

/** What an open session that does nothing costs its hoster. */
export async function benchIdle(): Promise<void> {
  heading(
    'Idle sessions',
    `${format(SESSIONS, 0)} sessions of Silero VAD after one turn of one record, state kept`,
  );
  const limits = {
    max_sessions: 2 * SESSIONS,
    max_sessions_per_model: 2 * SESSIONS,
    max_sessions_per_principal: 2 * SESSIONS,
  };
  await using subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { models: [BUNDLED_MODELS], only: ['silero-vad'], limits },
  });
  const [hoster] = subnet.hosters;
  if (hoster === undefined) throw new Error('no hoster');
  const authorizer = subnet.authorizer();
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  const manager = new SessionManager(remote, { maxSessions: 2 * SESSIONS });
  const open = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const session = await manager.session({ model: 'silero-vad' });
      const audio = new Float32Array(FRAME);
      await drain(session.runProtocolTask(undefined, { audio }));
    }
  };
  // The first ones pay for what all share.
  await open(SESSIONS / 2);
  const heap = async (): Promise<number> =>
    total(await scrape(hoster.admin), 'nodejs_heap_size_used_bytes');
  const before = { rss: residentBytes(hoster.child.pid), heap: await heap() };
  await open(SESSIONS);
  const after = { rss: residentBytes(hoster.child.pid), heap: await heap() };
  const each = (bytes: number): string => `${format(bytes / SESSIONS / 1024, 1)} KiB`;
  print([
    { what: 'resident, main process', value: `${each(after.rss - before.rss)} a session` },
    { what: 'heap in use, main process', value: `${each(after.heap - before.heap)} a session` },
    { what: 'state in the engine (2 × 128 float32 + 64 samples)', value: '1.25 KiB a session' },
  ]);
  await manager.close();
  await remote.close();
}
