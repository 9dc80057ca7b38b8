/** Version folders with what is no file: nothing waits for it, and it is named. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeGraph } from '../infer/graph.fixture';
import { loadManifest } from '../manifest/load';
import { listModels } from '../manifest/versions';

let root: string;
let repository: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-folder-'));
  repository = join(root, 'models');
  folder = join(repository, 'm');
  writeGraph(join(folder, '1/model.onnx'), { x: ['n', 4] }, { y: ['n', 2] });
});
afterEach(() => rmSync(root, { recursive: true }));

const messageOf = async (): Promise<string> =>
  loadManifest(folder, undefined, { within: [repository] }).then(
    () => 'fine',
    (error: unknown) => (error as Error).message,
  );
const pipe = (inner: string): void => {
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(folder, inner)]);
};

test.each([
  ['1/more.bin', '/dev/zero', /1\/more\.bin: got "a link to a device", expected a regular file/],
  ['letters', '/dev/zero', /letters: got "a link to a device"/],
  ['1/etc', '/etc', /1\/etc: got "a link to a folder"/],
  ['1/pw', '/etc/passwd', /1\/pw: got "a link", expected a file in the folder of models/],
  ['golden.json', '/etc/passwd', /golden\.json: got "a link", expected a file in the folder/],
])('%s → %s is refused', async (inner, target, message) => {
  symlinkSync(target, join(folder, inner));
  expect(await messageOf()).toMatch(message);
});

test.each(['1/more.bin', 'model.yaml', 'golden.json'])('a pipe as %s is refused', async (inner) => {
  pipe(inner);
  expect(await messageOf()).toMatch(/a pipe|no regular file/);
  expect((await listModels(repository)).map(({ name }) => name)).toEqual(['m']);
});

test('a socket is refused', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, '1/s'), resolve));
  expect(await messageOf()).toMatch(/1\/s: got "a socket"/);
  await new Promise((resolve) => server.close(resolve));
});

test('links within the folder of models are followed, also to another model of it', async () => {
  symlinkSync('model.onnx', join(folder, '1/alias.bin'));
  mkdirSync(join(repository, 'shared'));
  writeFileSync(join(repository, 'shared/weights.bin'), 'w');
  symlinkSync('../../shared/weights.bin', join(folder, '1/weights.bin'));
  expect(await messageOf()).toBe('fine');
});

test('a model’s folder may be a link to anywhere; links in it stay in there', async () => {
  const elsewhere = join(root, 'elsewhere');
  writeGraph(join(elsewhere, '1/model.onnx'), { x: ['n', 4] }, { y: ['n', 2] });
  symlinkSync('model.onnx', join(elsewhere, '1/alias.bin'));
  folder = join(repository, 'linked');
  symlinkSync(elsewhere, folder);
  expect(await messageOf()).toBe('fine');
  symlinkSync('/etc/passwd', join(elsewhere, '1/passwd'));
  expect(await messageOf()).toMatch(/1\/passwd: got "a link"/);
});

test('a volume as Kubernetes mounts it has the digest of its files alone', async () => {
  const { digest } = await loadManifest(folder);
  const mounted = join(folder, '1');
  rmSync(mounted, { recursive: true });
  writeGraph(join(mounted, '..2026_11_28/model.onnx'), { x: ['n', 4] }, { y: ['n', 2] });
  symlinkSync('..2026_11_28', join(mounted, '..data'));
  symlinkSync('..data/model.onnx', join(mounted, 'model.onnx'));
  expect(await messageOf()).toBe('fine');
  expect((await loadManifest(folder)).digest).toBe(digest);
});

test('a version that is a link out of the folder of models is refused', async () => {
  writeGraph(join(root, 'outside/model.onnx'), { x: ['n', 4] }, { y: ['n', 2] });
  symlinkSync(join(root, 'outside'), join(folder, '2'));
  expect(await messageOf()).toMatch(/2: got "a link", expected a file in the folder of models/);
});

test('a manifest that is too large is not read', async () => {
  writeFileSync(join(folder, 'model.yaml'), '');
  truncateSync(join(folder, 'model.yaml'), 64 * 1024 + 1);
  expect(await messageOf()).toMatch(/it has 65537 bytes, at most 65536 bytes are read/);
});

test('a digest of large weights ends when it is told to', async () => {
  writeFileSync(join(folder, '1/sparse.bin'), '');
  truncateSync(join(folder, '1/sparse.bin'), 2 ** 40);
  const signal = AbortSignal.timeout(50);
  await expect(loadManifest(folder, undefined, { signal })).rejects.toThrow(/aborted/);
});
