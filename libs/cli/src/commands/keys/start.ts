import path from 'node:path';
import { subnetPaths } from '@cabstand/auth-admin';
import type { Role } from '@cabstand/core';
import { readFolder } from '../../subnet/key-folder';

export const SERVERS = ['router', 'hoster', 'gateway'] as const;

/** How a member is started with the folder `keys`; what only its owner knows is in capitals. */
export function startLines(
  folder: string,
  name: string,
  roles: readonly Role[],
  host: string | undefined,
): string[] {
  const paths = subnetPaths(path.basename(folder));
  const server = SERVERS.find((role) => roles.includes(role));
  if (server === undefined)
    return [
      `cabstand nodes --router ROUTER:50050 --tls --credentials ${path.basename(folder)} --key ${paths.key(name)}`,
    ];
  const { subnet } = readFolder(folder);
  const at = host ?? 'HOST';
  const own = {
    router: ['cabstand router --listen 0.0.0.0:50050 \\', `    --auth-audiences ${at}:50050 \\`],
    hoster: [
      'cabstand hoster --listen 0.0.0.0:50051 \\',
      `    --node-id ${name} --advertise ${at}:50051 --routers ROUTER:50050 --models MODELS \\`,
    ],
    gateway: [
      'cabstand gateway --listen 0.0.0.0:50060 \\',
      `    --node-id ${name} --auth-audiences ${at}:50060 --routers ROUTER:50050 \\`,
    ],
  };
  return [
    ...own[server],
    `    --auth-mode keys --auth-verify-servers ${subnet === 'cabstand' ? '' : `--auth-subnet ${subnet} `}\\`,
    `    --auth-keys ${paths.keys} --auth-key ${paths.key(name)} \\`,
    `    --tls-ca ${paths.ca} --tls-cert ${paths.cert(name)} --tls-key ${paths.certKey(name)}`,
  ];
}
