/** `cabstand doctor` against real services with TLS: what it says where all is well, and where much is not. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Child, REPOSITORY_ROOT, Subnet, TEST_MODELS } from '@cabstand/testing';

const MODEL = 'accumulator';
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

interface Told {
  readonly format: number;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly check: string;
  readonly subject: string | null;
  readonly name: string;
  readonly message: string;
  readonly advice: string | null;
}

let subnet: Subnet;
let models: string;

beforeAll(async () => {
  subnet = await Subnet.start({
    tls: true,
    hosters: 1,
    models: TEST_MODELS,
    // Few, so that the machine's own limits do not matter.
    routerConfig: { rpc: { max_connections: 100 } },
    hosterConfig: { only: [MODEL], rpc: { max_connections: 100 } },
  });
  models = path.join(subnet.folder, 'models');
  cpSync(path.join(TEST_MODELS, MODEL), path.join(models, MODEL), { recursive: true });
}, 60_000);
afterAll(() => subnet.stop());

const settingsOf = (name: string): string => path.join(subnet.folder, `${name}.yaml`);

async function doctor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const given = ['--json', '--credentials', subnet.keys, '--tls', '--models', models, ...args];
  await using child = new Child('doctor', [CLI, 'doctor', ...given], env);
  const { code } = await child.exited;
  const told = child.output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Told);
  const of = (check: string, subject?: string): Told[] =>
    told.filter((one) => one.check === check && (subject ?? one.subject) === one.subject);
  return { code, told, of, output: child.output };
}

test('a subnet that is well: each part is told of, in the shape that monitors read', async () => {
  const [router = ''] = subnet.routerAddresses;
  const hoster = subnet.hosters[0]?.address ?? '';
  const configs = [
    '--router-config',
    settingsOf('router-0'),
    '--hoster-config',
    settingsOf('hoster-0'),
  ];
  const { code, told, of, output } = await doctor(['--router', router, ...configs]);
  expect(told.filter(({ status }) => status === 'fail')).toEqual([]);
  expect({ code, output }).toMatchObject({ code: 0 });
  for (const address of [router, hoster])
    for (const check of ['clock', 'certificate'])
      expect(of(check, address)).toMatchObject([{ status: 'ok' }]);
  expect(of('router', router)).toMatchObject([
    { status: 'ok', message: expect.stringContaining('1 of 1') as string },
  ]);
  expect(of('hoster', hoster)).toMatchObject([{ status: 'ok' }]);
  expect(of('provider', hoster)).toMatchObject([{ status: 'ok', message: `${MODEL} on cpu` }]);
  expect(of('config')).toHaveLength(2);
  expect(of('files')).toHaveLength(2);
  expect(of('memory', settingsOf('hoster-0'))).toMatchObject([{ status: 'ok' }]);
  const members = ['format', 'status', 'check', 'subject', 'name', 'message', 'advice'];
  for (const one of told) {
    expect(Object.keys(one)).toEqual(members);
    expect(one.format).toBe(1);
    // Each that is not well says what to do.
    if (one.status !== 'ok') expect(one.advice).toMatch(/\w/);
  }
}, 60_000);

test('all that is wrong is told at once, and the exit code is 1', async () => {
  const file = settingsOf('hoster-broken');
  const broken = JSON.parse(readFileSync(settingsOf('hoster-0'), 'utf8')) as object;
  writeFileSync(
    file,
    JSON.stringify({
      ...broken,
      advertise: '10.1.2.3:50051',
      rpc: { max_connections: 2 ** 31 - 1 },
      limits: { max_held_bytes: 2 ** 52 },
    }),
  );
  const unread = path.join(subnet.folder, 'router-broken.yaml');
  writeFileSync(unread, 'registry: {max_node: 3}');
  // A router that is not there, beside the one that is.
  const elsewhere = subnet.routerAddresses[0]?.replace('127.0.0.1', '127.0.0.2') ?? '';
  const [router = ''] = subnet.routerAddresses;
  const { code, of } = await doctor(
    [...['--router', `${router},${elsewhere}`, '--hoster-config', file, '--router-config', unread]],
    {
      NODE_OPTIONS: `--require ${path.join(REPOSITORY_ROOT, 'test/support/shift-clock.cjs')}`,
      CLOCK_SHIFT_MS: '45000',
      CLOCK_SHIFT_OF: 'cli',
    },
  );
  expect(code).toBe(1);
  const failed = (check: string, subject: string): string =>
    of(check, subject).find(({ status }) => status === 'fail')?.message ?? '';
  expect(failed('config', unread)).toContain('did you mean');
  expect(failed('config', file)).toContain('not for 10.1.2.3');
  expect(failed('files', file)).toContain('rpc.max_connections is 2147483647');
  expect(failed('memory', file)).toContain('limits.max_held_bytes');
  expect(failed('router', elsewhere)).not.toBe('');
  expect(failed('certificate', elsewhere)).not.toBe('');
  for (const address of [router, subnet.hosters[0]?.address ?? ''])
    expect(failed('clock', address)).toMatch(/this machine is 45\.\d s ahead of it/);
}, 60_000);

test('a flag that is not understood is a wrong call: 2', async () => {
  expect(await doctor(['--router', 'nowhere'])).toMatchObject({ code: 2, told: [] });
}, 20_000);
