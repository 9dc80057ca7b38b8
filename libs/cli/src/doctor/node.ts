import { freemem } from 'node:os';
import { bytes } from '../render/units';
import { fail, messageOf, ok, warn } from './finding';
import type { Finding } from './finding';
import type { Machine } from './limits';
import { servicePath } from '../subnet/service-path';

const OLDEST: readonly [number, number] = [20, 19];
const LITTLE_MEMORY = 500e6;

/** Node itself, memory, and whether everything is built. */
export async function checkNode(machine: Machine): Promise<Finding[]> {
  return [
    checkVersion(process.versions.node),
    checkMemory(machine),
    checkBuilt(),
    await checkImages(),
  ];
}

export function checkVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST;
  const about = `Node ${version} on ${process.platform}-${process.arch}`;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
    ? ok('node', about)
    : fail('node', about, `Install Node ${OLDEST.join('.')} or later (24 is the current LTS).`);
}

function checkMemory({ memory }: Machine): Finding {
  // Of the container, where that has less than the machine.
  const free = Math.min(freemem(), process.availableMemory());
  const about = `${bytes(free)} free of ${bytes(memory)}`;
  return free < LITTLE_MEMORY
    ? warn(
        'memory',
        about,
        'Each engine process takes 100 MB and more besides its model: free some.',
      )
    : ok('memory', about);
}

function checkBuilt(): Finding {
  try {
    servicePath('router');
    servicePath('hoster');
    return ok('build', 'router and hoster are built');
  } catch (error) {
    return fail('build', messageOf(error), 'Run `npm ci --ignore-scripts && npm run build`.');
  }
}

async function checkImages(): Promise<Finding> {
  try {
    const { default: sharp } = await import('sharp');
    return ok('pictures', `sharp loads (libvips ${sharp.versions.vips})`);
  } catch (error) {
    return warn(
      'pictures',
      `sharp does not load: ${messageOf(error)}`,
      'Only `cabstand infer --image` needs it. Run `npm ci` on this machine: its binary is per platform.',
    );
  }
}
