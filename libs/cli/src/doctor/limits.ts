import { totalmem } from 'node:os';
import { MOST_SURPLUS } from '@cabstand/rpc';
import { bytes } from '../render/units';
import { fail, ok, warn } from './finding';
import type { Finding } from './finding';
import type { ServiceSettings } from './settings';

/** Files besides connections: those that are refused, and engines and their sockets, logs, keys, libraries. */
const BESIDES = MOST_SURPLUS + 256;
/** `rpc.max_connections` of a hoster or gateway where nothing else is configured. */
const STANDARD_CONNECTIONS = 2000;

/** What this machine, or the container, lets a process have. */
export interface Machine {
  /** Soft limit of open files; Infinity for none, undefined where nobody knows. */
  readonly openFiles: number | undefined;
  /** Bytes of memory of the machine, or of the container where that has less. */
  readonly memory: number;
}

export function thisMachine(): Machine {
  const limited = process.constrainedMemory();
  const memory = limited > 0 && limited < totalmem() ? limited : totalmem();
  return { memory, openFiles: openFiles() };
}

/** As a service has it that is started from here: Node raises the soft limit to the hard one. */
function openFiles(): number | undefined {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } };
  };
  const soft = userLimits?.open_files?.soft;
  return soft === 'unlimited' ? Infinity : soft;
}

/** Whether a process may have as many files open as services need for the connections that they take. */
export function checkOpenFiles(
  { openFiles: limit }: Machine,
  configured: readonly ServiceSettings[],
): Finding[] {
  if (limit === undefined) return [];
  const may = `a process may have ${limit === Infinity ? 'any number of' : limit} files open`;
  if (configured.length === 0) {
    const needed = STANDARD_CONNECTIONS + BESIDES;
    return [
      limit >= needed
        ? ok('files', may)
        : warn(
            'files',
            `${may}; a hoster takes up to ${STANDARD_CONNECTIONS} connections by default, and a router 20000`,
            raise(needed),
          ),
    ];
  }
  return configured.map(({ service, file, settings: { rpc, limits } }) => {
    const name = `files ${file}`;
    const needed = rpc.max_connections + BESIDES;
    const sessions = limits?.['max_sessions'];
    const why =
      `rpc.max_connections is ${rpc.max_connections}` +
      (sessions === undefined ? '' : ` (limits.max_sessions ${sessions})`);
    if (limit >= needed) return ok(name, `${may}; ${why}`);
    // A router that cannot take what it is to take still serves; whoever comes too late is refused.
    return fail(
      name,
      `${may}, and this ${service} needs ${needed}: ${why}, and ${BESIDES} for the rest`,
      `${raise(needed)} Or lower rpc.max_connections.`,
    );
  });
}

const raise = (needed: number): string =>
  `Raise the limit to ${needed} or more for the service: LimitNOFILE= (systemd), --ulimit nofile= (Docker), ulimit -n (a shell).`;

/** Limits of a hoster that are bytes of memory: where the setting is, and what happens at it. */
const BYTES = [
  ['limits', 'max_held_bytes'],
  ['limits', 'max_state_bytes'],
  ['engines', 'max_memory_bytes'],
] as const;

/** Whether the limits of memory that are configured can be reached before the machine, or the container, is out of it. */
export function checkMemoryLimits(
  { memory }: Machine,
  configured: readonly ServiceSettings[],
): Finding[] {
  return configured.flatMap(({ service, file, settings }) => {
    if (service !== 'hoster') return [];
    const name = `memory ${file}`;
    const found = BYTES.flatMap(([section, key]) => {
      const value = settings[section]?.[key];
      return typeof value === 'number' ? [{ key: `${section}.${key}`, value }] : [];
    });
    const above = found.filter(({ value }) => value > memory);
    if (above.length > 0)
      return above.map(({ key, value }) =>
        fail(
          name,
          `${key} is ${bytes(value)}, and there are ${bytes(memory)}: the system kills processes before it is reached`,
          `Lower ${key}, or give the machine or container more memory.`,
        ),
      );
    const [held, engine] = ['limits.max_held_bytes', 'engines.max_memory_bytes'].map(
      (key) => found.find((one) => one.key === key)?.value,
    );
    if (held !== undefined && engine !== undefined && held + engine > memory)
      return [
        warn(
          name,
          `limits.max_held_bytes and engines.max_memory_bytes are ${bytes(held + engine)} together, and there are ${bytes(memory)}`,
          'With one engine at its limit the hoster cannot reach its own: lower one of the two.',
        ),
      ];
    return [
      ok(
        name,
        `${found.map(({ key, value }) => `${key} ${bytes(value)}`).join(', ') || 'limits follow the machine'}; there are ${bytes(memory)}`,
      ),
    ];
  });
}
