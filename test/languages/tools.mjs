// The commands of docs/languages.md, as they stand there, against a gateway and a hoster.
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { blocks } from './page.mjs';
import { check, expect } from './report.mjs';

const require = createRequire(new URL('../package.json', import.meta.url));
const { issueToken } = require('@cabstand/auth-admin');
const { REPOSITORY_ROOT } = require('@cabstand/testing');

const GATEWAY = '127.0.0.1:50053';
const ANSWER = 'T AE1 K S IY0';

/** What a command has to say, by its tool. */
const WANTED = {
  grpcurl: (said) => spoken(said) || said.includes('rpc rpc_session_stream'),
  buf: spoken,
  ghz: (said) => /\[OK\]\s+20 responses/.test(said),
  grpc_health_probe: (said) => said.includes('status: SERVING'),
};

/** The last program is what is asked; those before prepare something. */
const toolOf = (command) => command.split('&& ').at(-1).split(' ')[0];

function spoken(said) {
  const texts = [...said.matchAll(/"text":\s*"(.*?)"/g)].map(([, text]) => text);
  return texts.join('') === ANSWER;
}

export async function checkTools({ subnet, gateway }) {
  const addresses = [gateway.address, subnet.hosters[0].address];
  const cwd = path.join(subnet.folder, 'tools');
  mkdirSync(path.join(cwd, '.cabstand/keys'), { recursive: true });
  symlinkSync(path.join(REPOSITORY_ROOT, 'proto'), path.join(cwd, 'proto'));
  const token = await issueToken({ folder: subnet.keys, subject: 'client', audience: addresses });
  // As the services write it.
  writeFileSync(path.join(cwd, '.cabstand/keys/client.token'), `${token}\n`);

  // A command may go on in lines that are indented.
  const commands = blocks('sh')
    .flatMap((block) => block.split(/\n(?! )/))
    .filter((command) => Object.hasOwn(WANTED, toolOf(command)));
  await check('the page has commands of four tools', () => {
    const tools = new Set(commands.map(toolOf));
    expect(tools.size === Object.keys(WANTED).length, `only of ${[...tools].join(', ')}`);
  });
  for (const command of commands)
    for (const [i, address] of addresses.entries())
      await check(`${['gateway', 'hoster'][i]}: ${command.replaceAll(/\s+/g, ' ')}`, async () => {
        expect(command.split(GATEWAY).length === 2, `it does not say ${GATEWAY} once`);
        const here = command.replace(GATEWAY, address);
        const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-euc', here], {
          cwd,
          timeout: 60_000,
          maxBuffer: 2 ** 24,
        });
        expect(WANTED[toolOf(command)](stdout + stderr), `it said ${stdout}${stderr}`);
      });
}
