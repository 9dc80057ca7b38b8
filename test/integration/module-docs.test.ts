/** The modules of the documentation are served as they are written there, and its programs call them. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Child, REPOSITORY_ROOT, Subnet } from '@cabstand/testing';
import { filesOf } from '../support/doc-files';
import { compiled, equip, projectFolder } from '../support/project-folder';

const files = filesOf('docs/module-tutorial.md', 'docs/modules.md', 'docs/client.md');
const models = [...new Set(files.map((file) => /^models\/([^/]+)\//.exec(file.path)?.[1]))];

let folder: string;
let subnet: Subnet;

beforeAll(async () => {
  folder = projectFolder();
  for (const { path: file, text } of files) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  for (const name of ['plasma', 'voice-events'])
    cpSync(path.join(REPOSITORY_ROOT, 'models', name), path.join(folder, 'models', name), {
      recursive: true,
    });
  subnet = await Subnet.start({ hosters: 1, models: path.join(folder, 'models') });
  equip(folder, subnet);
}, 60_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await subnet.stop();
});

/** What a program of the documentation says. */
async function said(name: string): Promise<string> {
  const shared = files.find((file) => file.path === 'subnet.ts');
  const program = files.find((file) => file.path === `${name}.ts`);
  for (const { path: file, text } of [shared!, program!])
    writeFileSync(path.join(folder, file.replace(/\.ts$/, '.js')), compiled(text, subnet));
  await using child = new Child(name, [path.join(folder, `${name}.js`)], {}, folder);
  const { code } = await child.exited;
  expect({ code, said: child.output }).toMatchObject({ code: 0 });
  return child.output;
}

test('each module of the pages has its manifest and its code', () => {
  for (const model of models.filter((name) => name !== undefined))
    expect(files.map((file) => file.path)).toEqual(
      expect.arrayContaining([`models/${model}/model.yaml`, `models/${model}/1/index.ts`]),
    );
});

test('the walk is steered: a result, a message and a refusal, in order with its chunks', async () => {
  const output = await said('steer');
  expect(output).toMatch(/turned \{ step: \d+, degrees: 45 \} \d+/);
  expect(output).toMatch(/turn \{ from_step: \d+ \}/);
  expect(output).toMatch(/COMMAND_INVALID .*degrees/);
  expect(output).toMatch(/completed\s*$/);
}, 30_000);

test('each way to survive serves', async () => {
  expect(await said('ways')).toMatch(/primes 2\b[^]*clock \d{9}[^]*tide \d/);
}, 30_000);

test('speech is heard live, an event for each utterance', async () => {
  expect(await said('hear')).toMatch(
    /utterance \{ start: 0\.5\d*, end: 5\.\d+, seconds: 5\.\d+ \}/,
  );
}, 30_000);

test('a film is steered from within the loop that reads it', async () => {
  const output = await said('film');
  expect(output).toMatch(/\{ from_frame: \d+ \}\s+COMMAND_INVALID .*paused/);
}, 30_000);
