/** What an operator may get wrong: models, ports, settings, disks. Said by reason, harming nobody. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HosterService, RouterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { REPOSITORY_ROOT, Subnet, freePorts, refusalOf } from '@cabstand/testing';
import { Unharmed } from '../support/bystander';
import { copyModel, editManifest, onnxFile } from '../support/models';
import { RawClient, audio, within } from '../support/raw';
import { run, serviceAgain } from '../support/run-again';
import { SmallDisk } from '../support/small-disk';
import type { Ran } from '../support/run-again';

const repository = mkdtempSync(path.join(tmpdir(), 'cabstand-models-'));
let subnet: Subnet;
let unharmed: Unharmed;

beforeAll(async () => {
  copyModel(repository, 'silero-vad');
  for (const { name, spoil } of SPOILT) spoil(copyModel(repository, 'silero-vad', name));
  subnet = await Subnet.start({ hosters: 1, models: repository });
  unharmed = new Unharmed(subnet);
}, 90_000);

afterAll(async () => {
  await subnet.stop();
  rmSync(repository, { recursive: true, force: true });
});

interface Spoilt {
  readonly name: string;
  readonly cause: string;
  readonly says: string;
  readonly spoil: (folder: string) => void;
}

const edit = (from: string | RegExp, to: string) => (folder: string) =>
  editManifest(folder, (text) => text.replace(from, to));

const SPOILT: readonly Spoilt[] = [
  {
    name: 'missing-file',
    cause: 'MANIFEST_INVALID',
    says: 'graphs.step.file',
    spoil: edit('file: silero_vad.onnx', 'file: elsewhere.onnx'),
  },
  {
    name: 'missing-golden',
    cause: 'MANIFEST_INVALID',
    says: 'golden.file',
    spoil: edit('file: golden.json', 'file: silver.json'),
  },
  {
    name: 'unknown-key',
    cause: 'MANIFEST_INVALID',
    says: 'framing.hopp',
    spoil: edit('hop: 512', 'hopp: 512'),
  },
  {
    name: 'unknown-tensor',
    cause: 'MANIFEST_INVALID',
    says: 'stateM',
    spoil: edit('stateN:', 'stateM:'),
  },
  {
    name: 'other-axis',
    cause: 'MANIFEST_INVALID',
    says: 'graphs.step.outputs.stateN.batch_axis',
    spoil: edit(
      'stateN: { state: state, batch_axis: 1 }',
      'stateN: { state: state, batch_axis: 0 }',
    ),
  },
  {
    name: 'no-such-axis',
    cause: 'MANIFEST_INVALID',
    says: 'batch_axis',
    spoil: edit(/batch_axis: 1/g, 'batch_axis: 3'),
  },
  {
    name: 'no-yaml',
    cause: 'MANIFEST_INVALID',
    says: 'model.yaml',
    spoil: (folder) => writeFileSync(path.join(folder, 'model.yaml'), 'name: [no-yaml\n'),
  },
  {
    name: 'truncated',
    cause: 'MANIFEST_INVALID',
    says: 'silero_vad.onnx',
    spoil: (folder) => truncateSync(onnxFile(folder), 100_000),
  },
  {
    name: 'no-onnx',
    cause: 'MANIFEST_INVALID',
    says: 'silero_vad.onnx',
    spoil: (folder) => writeFileSync(onnxFile(folder), 'these are no weights'),
  },
  {
    name: 'other-values',
    cause: 'VERIFICATION_FAILED',
    says: 'golden',
    spoil: (folder) => {
      const file = path.join(folder, 'golden.json');
      const value = Buffer.from(Float32Array.of(0.7).buffer).toString('base64');
      const golden = readFileSync(file, 'utf8');
      // Only what is expected, not what is sent: single numbers.
      writeFileSync(file, golden.replaceAll(/"base64": ?"[^"]{8}"/g, `"base64": "${value}"`));
    },
  },
];

async function again(kind: 'router' | 'hoster', settings: object): Promise<Ran> {
  return run(await serviceAgain(subnet, kind, settings));
}

/** As the hoster sees them, once it has tried all of them. */
async function modelInfo(client: RawClient, name: string): Promise<v1.ModelInfo__Output> {
  const request = { models: [name] };
  const { models } = await client.hoster.unary(HosterService.rpc_info, request, within);
  if (models[0] === undefined) throw new Error(`rpc_info does not list ${name}`);
  return models[0];
}

describe('a model', () => {
  test.each(SPOILT)('$name cannot be served: $cause', async ({ name, cause, says }) => {
    using client = new RawClient(subnet);
    const { state, failure } = await modelInfo(client, name);
    expect(state).toBe('MODEL_STATE_FAILED');
    expect(failure).toContain(says);

    const refused = await client.refusal({ model: name, inputs: [audio()] });
    expect(refused).toMatchObject({ reason: 'MODEL_FAILED', metadata: { cause } });
    expect(refused.message).toContain(says);
    const acquire = client.router.unary(RouterService.rpc_acquire, { model: name }, within);
    expect(['MODEL_UNKNOWN', 'NO_NODE']).toContain((await refusalOf(acquire)).reason);

    using admin = new RawClient(subnet, 'admin');
    const load = admin.hoster.unary(HosterService.rpc_load_model, { model: name }, within);
    const reloaded = await refusalOf(load);
    expect(reloaded.reason).toBe(cause);
    expect(reloaded.message).toContain(says);
    // The hoster's folders are nobody's business.
    for (const told of [refused, reloaded])
      expect(JSON.stringify([failure, told.message, told.metadata])).not.toContain(repository);
  });

  test('that was mended is loaded while serving', async () => {
    const folder = path.join(repository, 'unknown-key');
    editManifest(folder, (text) => text.replace('hopp: 512', 'hop: 512'));
    using admin = new RawClient(subnet, 'admin');
    const request = { model: 'unknown-key' };
    await admin.hoster.unary(HosterService.rpc_load_model, request, within);
    expect(await admin.turn({ ...request, inputs: [audio()] })).toHaveLength(2);
    await admin.hoster.unary(HosterService.rpc_unload_model, request, within);
  }, 30_000);

  test('that cannot be served keeps a strict hoster from starting', async () => {
    const { code, output } = await again('hoster', { strict: true });
    expect(code).toBe(2);
    expect(output).toContain('MANIFEST_INVALID');
    expect(output).toMatch(/graphs\.step|framing|golden\.file|model\.yaml/);
  }, 30_000);
});

describe('a port in use', () => {
  const taken = { hoster: () => subnet.hosters[0], router: () => subnet.routers[0] };
  test.each(['hoster', 'router'] as const)(
    'is named by a second %s',
    async (kind) => {
      const [port] = await freePorts(1);
      const free = `127.0.0.1:${String(port)}`;
      const { address = '', admin = '' } = taken[kind]() ?? {};
      for (const settings of [
        { listen: address, admin: { listen: free } },
        { listen: free, admin: { listen: admin } },
      ]) {
        const { code, output } = await again(kind, settings);
        expect(code).toBe(3);
        expect(output).toContain('ADDRESS_IN_USE');
        expect(output).toContain(settings.listen === address ? address : admin);
      }
    },
    30_000,
  );
});

describe('settings', () => {
  test.each<[string, object, string]>([
    ['an unknown key', { lissten: '127.0.0.1:1' }, 'lissten'],
    ['a value it cannot have', { limits: { max_sessions: -1 } }, 'limits.max_sessions'],
    ['a folder that is not there', { models: '/nowhere' }, '/nowhere'],
    ['keys that are not there', { auth: { mode: 'keys', keys: '/nowhere.json' } }, '/nowhere.json'],
    [
      'a public address without keys',
      { listen: '0.0.0.0:0', advertise: 'a:1', auth: { mode: 'none' } },
      'auth.mode',
    ],
  ])('with %s are refused', async (_what, settings, says) => {
    const { code, output } = await again('hoster', settings);
    expect(code).toBe(2);
    expect(output).toContain(says);
  });
});

describe('a disk without room', () => {
  test('for sockets: said with the folder, before anything is served', async () => {
    using disk = new SmallDisk(0);
    const settings = { engines: { socket_folder: disk.folder } };
    const command = await serviceAgain(subnet, 'hoster', settings);
    const { code, output } = await run(disk.on(command));
    expect(code).toBe(1);
    expect(output).toContain(`cannot make a socket for engines in ${disk.folder}`);
    expect(output).toContain('TMPDIR');
  }, 30_000);

  test('for the log: the service serves all the same', async () => {
    const [port] = await freePorts(1);
    const admin = `127.0.0.1:${String(port)}`;
    const command = await serviceAgain(subnet, 'router', { admin: { listen: admin } });
    const ready = async (): Promise<void> => {
      expect((await fetch(`http://${admin}/readyz`)).status).toBe(200);
    };
    const { code } = await run(command, { stdout: '/dev/full', whileRunning: ready });
    expect(code).toBe(0);
  }, 30_000);

  test('for keys: said with the file, and nothing half written is left', async () => {
    using disk = new SmallDisk(4);
    const cli = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');
    const keys = [process.execPath, cli, 'keys', 'init', '--out', path.join(disk.folder, 'keys')];
    const script = `"$@"; code=$?; find ${disk.folder} -name '*.tmp' -o -name '*.json'; exit $code`;
    const { code, output } = await run(disk.on(['sh', '-c', script, 'sh', ...keys]));
    expect(code).not.toBe(0);
    expect(output).toMatch(/\.json: cannot be written/);
    expect(
      output
        .trim()
        .split('\n')
        .filter((line) => line.startsWith(disk.folder)),
    ).toEqual([]);
  }, 30_000);
});

test('nothing else was harmed', () => unharmed.check());
