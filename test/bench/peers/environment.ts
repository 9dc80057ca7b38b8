/** Python with the packages of the peers, beside those of test/interop: made once, and never in the tree. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY_ROOT } from '@cabstand/testing';

export const PYTHON_FILES = path.join(REPOSITORY_ROOT, 'test/bench/peers/python');

const call = promisify(execFile);
/** Within the environment's packages. */
const TRITON = 'pytriton/tritonserver';

const python = process.env['PYTHON'] ?? 'python3';

/** Where a set of packages is. */
interface Packages {
  /** The environment's interpreter. */
  readonly program: string;
  readonly sitePackages: string;
  /** Of the interpreter, for programs that load it as a library. */
  readonly libraries: string;
  /** major.minor */
  readonly version: string;
}

/** gRPC, NumPy and ONNX Runtime. Throws where Python or its packages cannot be had. */
export async function peerPackages(): Promise<Packages> {
  return describe(await environment('peers', 'requirements.txt', async () => undefined));
}

/** Triton's server with its Python backend, ready to start. Throws where it cannot be had. */
export async function tritonPackages(): Promise<Packages & { readonly server: string }> {
  const folder = await environment('triton', 'triton-requirements.txt', async (draft) => {
    // The backend looks for the interpreter's own stub beside itself; the wheel has one for each version.
    const { sitePackages, version } = await describe(draft);
    const server = path.join(sitePackages, TRITON);
    const stub = path.join(server, 'python_backend_stubs', version, 'triton_python_backend_stub');
    copyFileSync(stub, path.join(server, 'backends/python/triton_python_backend_stub'));
  });
  const packages = await describe(folder);
  return { ...packages, server: path.join(packages.sitePackages, TRITON) };
}

async function environment(
  name: string,
  requirements: string,
  finish: (draft: string) => Promise<void>,
): Promise<string> {
  const file = path.join(PYTHON_FILES, requirements);
  const { stdout: version } = await call(python, ['--version']);
  const key = createHash('sha256').update(version).update(readFileSync(file)).digest('hex');
  const owner = String(process.getuid?.() ?? 0);
  const cache =
    process.env['CABSTAND_INTEROP_CACHE'] ?? path.join(tmpdir(), `cabstand-interop-${owner}`);
  const folder = path.join(cache, `${name}-${key.slice(0, 16)}`);
  if (existsSync(path.join(folder, 'ready'))) return folder;
  console.log(`preparing ${folder}`);
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  // Beside it first: what was interrupted is never taken for ready.
  const draft = mkdtempSync(path.join(cache, 'draft.'));
  try {
    await call(python, ['-m', 'venv', draft]);
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
    await call(path.join(draft, 'bin/python'), [...install, '-r', file]);
    await finish(draft);
    writeFileSync(path.join(draft, 'ready'), '');
    rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}

async function describe(folder: string): Promise<Packages> {
  const program = path.join(folder, 'bin/python');
  const ask =
    'import sys, sysconfig; print(sysconfig.get_path("purelib")); print(sysconfig.get_config_var("LIBDIR"));' +
    'print("%d.%d" % sys.version_info[:2])';
  const { stdout } = await call(program, ['-c', ask]);
  const [sitePackages = '', libraries = '', version = ''] = stdout.trim().split('\n');
  return { program, sitePackages, libraries, version };
}
