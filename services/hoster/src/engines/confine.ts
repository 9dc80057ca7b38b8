/**
 * Makes the world of engines smaller by what the system has for it: a flaw in ONNX Runtime, or a graph made
 * for one, should gain as little as possible. Programs of the system (util-linux) set it up and then become
 * the engine; nothing of this stays in between.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { EngineLog } from './observer';

export type Sandbox = 'auto' | 'off';

interface Measure {
  readonly name: string;
  readonly prefix: readonly string[];
  /** What /proc/self/status says where it is in force. */
  readonly shows?: RegExp;
}

const PROBE_MS = 5000;

/** A process that crashes leaves no image of its memory, which has callers' inputs. */
const NO_CORE: Measure = {
  name: 'no core dumps',
  prefix: ['/bin/sh', '-c', 'ulimit -c 0 && exec "$@"', 'sh'],
};
const NO_NEW_PRIVILEGES: Measure = {
  name: 'no new privileges',
  prefix: ['setpriv', '--no-new-privs'],
  shows: /^NoNewPrivs:\s*1$/m,
};
/** For root, who may read any file as before but no longer mount, trace, load modules or change users. */
const FEW_CAPABILITIES: Measure = {
  name: 'no new privileges, no capabilities but for files',
  prefix: [
    'setpriv',
    '--no-new-privs',
    '--inh-caps=-all',
    '--bounding-set=-all,+dac_override,+dac_read_search',
  ],
  // The bits of the two that are left.
  shows: /^CapEff:\s*0*[0246]\n(?:.*\n)*NoNewPrivs:\s*1$/m,
};

/** What a command is started through, measure by measure as far as this system has them. */
export async function confinement(sandbox: Sandbox, log: EngineLog): Promise<readonly string[]> {
  if (sandbox === 'off' || process.platform === 'win32') return [];
  const steps: readonly (readonly Measure[])[] = [
    [NO_CORE],
    process.getuid?.() === 0 ? [FEW_CAPABILITIES, NO_NEW_PRIVILEGES] : [NO_NEW_PRIVILEGES],
  ];
  const inForce: Measure[] = [];
  for (const choices of steps)
    for (const measure of choices)
      if (await works(measure)) {
        inForce.push(measure);
        break;
      }
  log.info({ measures: inForce.map(({ name }) => name) }, 'engines are confined');
  return inForce.flatMap(({ prefix }) => prefix);
}

async function works({ prefix: [program = '', ...args], shows }: Measure): Promise<boolean> {
  const probe = shows === undefined ? ['true'] : ['cat', '/proc/self/status'];
  try {
    const { stdout } = await promisify(execFile)(program, [...args, ...probe], {
      timeout: PROBE_MS,
    });
    return shows?.test(stdout) !== false;
  } catch {
    return false;
  }
}

/** Names of variables that engines get. All others may hold secrets of the hoster or its machine. */
const PASSED: ReadonlySet<string> = new Set([
  ...['PATH', 'HOME', 'TMPDIR', 'LANG', 'LANGUAGE', 'TZ', 'XDG_CACHE_HOME', 'XDG_RUNTIME_DIR'],
  // How libraries and drivers of graphics cards are found, and how memory is managed.
  ...['LD_LIBRARY_PATH', 'LD_PRELOAD', 'DYLD_LIBRARY_PATH', 'GLIBC_TUNABLES'],
  ...['XDG_CONFIG_HOME', 'XDG_CONFIG_DIRS', 'XDG_DATA_HOME', 'XDG_DATA_DIRS'],
  ...['NODE_OPTIONS', 'NODE_V8_COVERAGE', 'UV_THREADPOOL_SIZE'],
  // Windows starts nothing without these.
  ...['SYSTEMROOT', 'WINDIR', 'SYSTEMDRIVE', 'COMSPEC', 'PATHEXT', 'TEMP', 'TMP', 'USERPROFILE'],
  ...['APPDATA', 'LOCALAPPDATA', 'PROGRAMDATA', 'PROGRAMFILES'],
]);
/** ONNX Runtime, its threads and libraries of mathematics, CUDA, and Vulkan and Dawn for WebGPU. */
const PREFIXES =
  /^(?:LC|ORT|OMP|KMP|GOMP|MKL|OPENBLAS|MALLOC|CUDA|CUDNN|CUBLAS|NVIDIA|HIP|HSA|ROCR|VK|DAWN|MESA|LIBGL|DRI)_/;

/**
 * The environment of engines: what computing needs, and nothing else.
 *
 * @param more names of further variables.
 */
export function engineEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  more: readonly string[],
): Record<string, string | undefined> {
  const passed = Object.entries(environment).filter(
    ([name]) => PASSED.has(name.toUpperCase()) || PREFIXES.test(name) || more.includes(name),
  );
  return { ...Object.fromEntries(passed), ORT_DISABLE_TELEMETRY: '1' };
}
