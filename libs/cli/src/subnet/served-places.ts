import path from 'node:path';
import { UsageError } from '../errors';
import { layout } from './layout';
import type { SubnetLayout } from './layout';
import { PidFile } from './pid-file';
import { freePortsFrom, requireFreePorts } from './subnet-ports';

export interface WantedPlaces {
  readonly data: string;
  readonly hosters: number;
  /** Default: free ones. */
  readonly port?: number | undefined;
  readonly adminPort?: number | undefined;
}

/** Ports and a folder that are this process's until it lets go of them. */
export interface ClaimedPlaces extends Disposable {
  readonly layout: SubnetLayout;
  /** Folder of this run alone. */
  readonly run: string;
  /** The usual ports are taken. */
  readonly moved: boolean;
}

const PORT = 50050;
const ADMIN_PORT = 8050;
const HIGHEST_PORT = 65_535;

/**
 * Takes free ports, and a folder named by them: several subnets may run beside each other from one data
 * folder, and share its keys.
 *
 * @throws UsageError when ports that were asked for are taken.
 */
export async function claimPlaces(wanted: WantedPlaces): Promise<ClaimedPlaces> {
  const { data, hosters } = wanted;
  const count = hosters + 1;
  for (let from = PORT; from <= HIGHEST_PORT;) {
    const port = wanted.port ?? (await freePortsFrom(from, count));
    const adminPort =
      wanted.adminPort ?? (await freePortsFrom(ADMIN_PORT + Math.max(0, port - PORT), count));
    const run = path.join(data, 'served', String(port));
    const places = layout({ data, run, port, adminPort, hosters });
    const pidFile = new PidFile(run);
    const claim = pidFile.claim();
    if (claim.kind === 'claimed') {
      const release = (): void => pidFile.release();
      try {
        await requireFreePorts(places);
      } catch (error) {
        release();
        throw error;
      }
      const moved = wanted.port === undefined && port !== PORT;
      return { layout: places, run, moved, [Symbol.dispose]: release };
    }
    if (wanted.port !== undefined)
      throw new UsageError(`port ${port} is taken by the subnet of process ${claim.pid}`);
    // One that starts right now, and does not listen yet.
    from = port + count;
  }
  throw new UsageError('no free ports on loopback', 'Stop something that listens.');
}
