/** `cabstand chat` against a subnet. Needs a build. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { REPOSITORY_ROOT, Subnet } from '@cabstand/testing';
import { talkingModels } from '../support/language-gateway';

jest.setTimeout(120_000);

let models: ReturnType<typeof talkingModels>;
let subnet: Subnet;
beforeAll(async () => {
  models = talkingModels();
  subnet = await Subnet.start({ models: models.folder, hosters: 1, auth: 'none' });
}, 120_000);
afterAll(async () => {
  await subnet.stop();
  models[Symbol.dispose]();
});

async function chat(question: string, ...args: string[]) {
  const main = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');
  const router = subnet.routerAddresses.join(',');
  const child = spawn(process.execPath, [
    ...[main, 'chat', '--no-auth', '--router', router],
    ...args,
  ]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => (out += String(text)));
  child.stderr.on('data', (text) => (err += String(text)));
  child.stdin.end(question);
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, out, err };
}

test('a question on stdin is answered on stdout', async () => {
  const args = ['--model', 'llama', '--param', 'max_tokens=12'];
  const { code, out, err } = await chat('What is a router?\n', ...args);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/\S.*\n$/s);
  const told = await chat('What is a router?', ...args, '--system', 'Be brief.');
  expect(told.code).toBe(0);
  expect(told.out).not.toBe(out);
});

test('a model that does not talk, no question, and what is wrong with a parameter are told', async () => {
  const mute = await chat('Hi', '--model', 'gpt2');
  expect(mute).toMatchObject({ code: 2, out: '' });
  expect(mute.err).toContain('gpt2 does not take conversations');
  const silent = await chat('\n', '--model', 'llama');
  expect(silent).toMatchObject({ code: 2, out: '' });
  expect(silent.err).toContain('no question');
  const odd = await chat('Hi', '--model', 'llama', '--param', 'top_p=2');
  expect(odd).toMatchObject({ code: 3, out: '' });
  expect(odd.err).toContain('top_p');
});
