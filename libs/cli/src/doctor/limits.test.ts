import { checkMemoryLimits, checkOpenFiles, thisMachine } from './limits';
import type { ServiceSettings } from './settings';

const machine = { openFiles: 4096, memory: 8e9 };

function settings(
  over: Partial<ServiceSettings['settings']> = {},
  service: ServiceSettings['service'] = 'hoster',
): ServiceSettings {
  const rpc = { max_connections: 2000, max_concurrent_calls: 10_000 };
  return {
    ...{ service, file: `${service}.yaml` },
    settings: { listen: '127.0.0.1:1', auth: {}, rpc, ...over },
  };
}
const rpc = (max_connections: number) => ({ max_connections, max_concurrent_calls: 1 });

describe('open files', () => {
  test.each([
    [4096, 2816, 'ok'],
    [4096, 2817, 'fail'],
    [Infinity, 1e6, 'ok'],
  ])('%d of them, and %d connections: %s', (openFiles, connections, status) => {
    const one = settings({ rpc: rpc(connections), limits: { max_sessions: 9000 } });
    const [finding] = checkOpenFiles({ ...machine, openFiles }, [one]);
    expect(finding).toMatchObject({ status, name: 'files hoster.yaml' });
    expect(finding?.message).toContain('limits.max_sessions 9000');
    if (status === 'fail') expect(finding?.advice).toContain(`${connections + 1280} or more`);
  });

  test('without settings the defaults of services count, as a warning', () => {
    expect(checkOpenFiles({ ...machine, openFiles: 1024 }, [])).toMatchObject([{ status: 'warn' }]);
    expect(checkOpenFiles(machine, [])).toMatchObject([{ status: 'ok' }]);
    expect(checkOpenFiles({ ...machine, openFiles: undefined }, [])).toEqual([]);
  });

  test('each service that is configured is told of', () => {
    const router = settings({ rpc: rpc(20_000) }, 'router');
    expect(checkOpenFiles(machine, [router, settings()])).toMatchObject([
      { status: 'fail', name: 'files router.yaml' },
      { status: 'ok', name: 'files hoster.yaml' },
    ]);
  });
});

describe('memory', () => {
  test('each limit above what there is fails', () => {
    const one = settings({
      limits: { max_held_bytes: 9e9, max_state_bytes: 1e9 },
      engines: { max_memory_bytes: 10e9 },
    });
    expect(checkMemoryLimits(machine, [one])).toMatchObject([
      {
        status: 'fail',
        message: expect.stringMatching(/^limits\.max_held_bytes is 9\.0 GB/) as string,
      },
      {
        status: 'fail',
        message: expect.stringMatching(/^engines\.max_memory_bytes is 10/) as string,
      },
    ]);
  });

  test('two limits that cannot both be reached are a warning, defaults are not', () => {
    const both = settings({
      limits: { max_held_bytes: 5e9 },
      engines: { max_memory_bytes: 5e9 },
    });
    expect(checkMemoryLimits(machine, [both])).toMatchObject([{ status: 'warn' }]);
    expect(checkMemoryLimits(machine, [settings()])).toMatchObject([{ status: 'ok' }]);
    expect(checkMemoryLimits(machine, [settings({}, 'router')])).toEqual([]);
  });
});

test('of this machine both are known', () => {
  const { openFiles, memory } = thisMachine();
  expect(memory).toBeGreaterThan(1e8);
  if (process.platform !== 'win32') expect(openFiles).toBeGreaterThan(0);
});
