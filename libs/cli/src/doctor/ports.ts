import { portFree, portHolder } from '../subnet/ports';
import { ok, warn } from './finding';
import type { Finding } from './finding';

/** Whether the ports of a local subnet are free, and who has them if not. */
export async function checkPorts(ports: readonly number[]): Promise<Finding[]> {
  const taken: Finding[] = [];
  for (const port of ports) {
    if (await portFree(port)) continue;
    const holder = await portHolder(port);
    taken.push(
      holder !== undefined && /(router|hoster)\/dist\/main\.js/.test(holder)
        ? ok(`port ${port}`, `used by Cabstand: ${holder}`)
        : warn(
            `port ${port}`,
            `taken by ${holder ?? 'a process that this user cannot see'}`,
            'Stop it, or start the subnet elsewhere: `cabstand up --port 51050`.',
          ),
    );
  }
  const free = ports.length - taken.length;
  if (free === 0) return taken;
  return [...taken, ok('ports', `${free} of ${ports.length} default ports are free`)];
}
