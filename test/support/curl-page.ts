/** What a page of the documentation asks with curl. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

interface Asked {
  readonly subnet: Subnet;
  /** Of the gateway: `http://…`. */
  readonly base: string;
  readonly token: string;
}

/**
 * Runs all blocks of a page that are marked `sh curl`, at once, and gives what each of them wrote.
 *
 * @param names of the page that are others here
 */
export async function runCurlPage(
  page: string,
  { subnet, base, token }: Asked,
  names: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const text = readFileSync(path.join(REPOSITORY_ROOT, page), 'utf8');
  const scripts = [...text.matchAll(/^```sh curl\n([^]*?)^```$/gm)].map(
    ([, script = '']) => script,
  );
  const file = path.join(subnet.folder, 'page.token');
  writeFileSync(file, token);
  const here = {
    'http://127.0.0.1:8070': base,
    '.cabstand/keys/client.token': file,
    ...names,
  };
  return await Promise.all(
    scripts.map(async (script) => {
      let asked = script;
      for (const [there, name] of Object.entries(here)) asked = asked.replaceAll(there, name);
      const { stdout } = await promisify(execFile)('bash', ['-ec', asked], {
        cwd: REPOSITORY_ROOT,
      });
      return stdout;
    }),
  );
}
