import type { HosterAnswer } from './providers';
import { checkProviders } from './providers';

const at = (address: string, models: Record<string, string>): HosterAnswer =>
  ({
    address,
    info: {
      models: Object.entries(models).map(([name, provider]) => ({
        offer: { name, provider },
        state: 'MODEL_STATE_READY',
      })),
    },
  }) as unknown as HosterAnswer;

test('what models run on is told of each hoster', () => {
  expect(
    checkProviders([at('a:1', { g2p: 'cpu', vad: 'webgpu' })], new Map([['vad', 'webgpu']])),
  ).toMatchObject([{ status: 'ok', name: 'provider a:1', message: 'g2p on cpu, vad on webgpu' }]);
});

test('a provider that is not the preferred one, and hosters that differ, are warnings', () => {
  const hosters = [at('a:1', { vad: 'cuda' }), at('b:1', { vad: 'cpu' })];
  expect(checkProviders(hosters, new Map([['vad', 'cuda']]))).toMatchObject([
    { status: 'ok', name: 'provider a:1' },
    {
      status: 'warn',
      name: 'provider b:1',
      message: 'vad runs on cpu, though its manifest lists cuda first',
    },
    {
      status: 'warn',
      name: 'provider',
      message: expect.stringContaining('cpu and cuda') as string,
    },
  ]);
});
