// Whether the contract breaks clients of the last release: `buf breaking` with the rules of buf.yaml, against
// proto/ of the newest tag v*. A clone without tags asks its origin for them. Exits 0 where nothing breaks, 1
// where something does, 3 where there is nothing to compare with, and says why.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { resolve } = createRequire(import.meta.url);
const buf = path.join(path.dirname(resolve('@bufbuild/buf/package.json')), 'bin/buf');
const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-contract-'));

const git = (...args) =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

/** A folder with the rules of buf.yaml and a contract, which `fill` puts beside them. */
function folder(name, fill) {
  const made = path.join(scratch, name);
  mkdirSync(made);
  fill(made);
  cpSync(path.join(root, 'buf.yaml'), path.join(made, 'buf.yaml'));
  return made;
}

const own = () =>
  folder('own', (made) =>
    cpSync(path.join(root, 'proto'), path.join(made, 'proto'), { recursive: true }),
  );

/** What buf finds in `now` that breaks a client of the contract in `before`. */
function broken(now, before) {
  const args = [buf, 'breaking', now, '--against', before];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === 0) return [];
  if (status !== 100) throw new Error(`buf breaking: ${stderr}${stdout}`);
  return stdout.trim().split('\n');
}

/** Newest first: tags of releases that are not this commit's own. */
function releases(lines) {
  const version = (tag) => tag.slice(1).split('.').map(Number);
  const order = (a, b) => {
    const [x, y] = [version(a), version(b)];
    return y[0] - x[0] || y[1] - x[1] || y[2] - x[2];
  };
  return lines.filter((tag) => /^v\d+\.\d+\.\d+$/.test(tag)).sort(order);
}

/** A commit to compare with, or why there is none. */
function lastRelease() {
  const [here] = releases(git('tag', '--list', 'v*', '--no-contains', 'HEAD').split('\n'));
  if (here !== undefined) return { tag: here, commit: `refs/tags/${here}` };
  let known;
  try {
    known = git('ls-remote', '--tags', 'origin', 'v*').trim().split('\n');
  } catch {
    return { why: 'this clone has no tag of a release, and no origin answers' };
  }
  // A tag with a message has two lines: its own, and with ^{} that of its commit.
  const nameOf = (line) => line.replace(/^.*refs\/tags\//, '').replace('^{}', '');
  const head = git('rev-parse', 'HEAD').trim();
  const ofHead = known.filter((line) => line.startsWith(head)).map(nameOf);
  const [tag] = releases(known.map(nameOf).filter((name) => !ofHead.includes(name)));
  if (tag === undefined) return { why: 'there is no release yet' };
  git('fetch', '--quiet', '--no-tags', '--depth', '1', 'origin', `refs/tags/${tag}`);
  return { tag, commit: git('rev-parse', 'FETCH_HEAD').trim() };
}

/** This contract without a method. */
const lacking = () =>
  folder('lacking', (made) => {
    cpSync(path.join(root, 'proto'), path.join(made, 'proto'), { recursive: true });
    const file = path.join(made, 'proto/cabstand/v1/hoster.proto');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/^ {2}rpc rpc_session_status.*\n/m, ''));
  });

const released = (commit) =>
  folder('released', (made) => {
    const files = execFileSync('git', ['archive', commit, 'proto'], { cwd: root });
    execFileSync('tar', ['-x', '-C', made], { input: files });
  });

try {
  const now = own();
  // What is found here shows that the rules are in force.
  const found = broken(lacking(), now);
  if (found.length !== 1 || !found[0].includes('rpc_session_status'))
    throw new Error(`a method that is gone is not found by buf.yaml: ${found.join('; ')}`);
  const { tag, commit, why } = lastRelease();
  if (commit === undefined) {
    console.log(`the contract was compared with nothing: ${why}`);
    process.exitCode = 3;
  } else {
    const changes = broken(now, released(commit));
    for (const line of changes) console.log(line);
    console.log(`${changes.length} changes break clients of ${tag}`);
    process.exitCode = changes.length === 0 ? 0 : 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
