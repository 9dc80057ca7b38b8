import { CabstandError } from '@cabstand/core';
import { SessionManager } from '../session/manager';
import { node, remoteFor, router } from './router.fixture';

const unknown = (metadata: Record<string, string> = {}) =>
  new CabstandError('MODEL_UNKNOWN', 'no node has ever offered silero-vda', {
    metadata: { model: 'silero-vda', ...metadata },
  });

const withModels = (name: string, ...models: string[]) => ({
  ...node(name),
  models: models.map((model) => ({ name: model, digest: 'sha256:1', capacity: 4 })),
});

test('an unknown model is told with those that the subnet has, on the first call', async () => {
  const one = await router();
  one.nodes = [withModels('a', 'silero-vad', 'g2p'), withModels('b', 'g2p')];
  one.refuse = unknown();
  const remote = remoteFor({ routers: [one.address] });
  await using sessions = new SessionManager(remote);
  const session = sessions.session({ model: 'silero-vda' });
  await expect(session.runProtocolTask('a').next()).rejects.toMatchObject({
    reason: 'MODEL_UNKNOWN',
    message:
      'no node has ever offered silero-vda; there are g2p, silero-vad; did you mean silero-vad?',
    metadata: { model: 'silero-vda', models: 'g2p, silero-vad' },
  });
});

test('where no node is known, what the router says is left as it is', async () => {
  const one = await router();
  one.refuse = unknown();
  const remote = remoteFor({ routers: [one.address] });
  await expect(remote.acquire({ model: 'silero-vda' })).rejects.toMatchObject({
    message: 'no node has ever offered silero-vda',
  });
});
