import { readFile, readdir, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';

const LISTENING = '0A';

/** Whether something can listen there. Throws what is not about the port being taken. */
export function portFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Who listens on a port, as far as the system says: `node dist/main.js (pid 12)`. Linux only, and only
 * processes that this user may look at.
 */
export async function portHolder(port: number): Promise<string | undefined> {
  try {
    const inode = await socketInode(port);
    if (inode === undefined) return undefined;
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid) || !(await holds(pid, inode))) continue;
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      return `${command.split('\0').join(' ').trim().slice(0, 100)} (pid ${pid})`;
    }
  } catch {
    // No /proc here.
  }
  return undefined;
}

async function socketInode(port: number): Promise<string | undefined> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of (await readFile(table, 'utf8')).split('\n')) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTENING && local.endsWith(wanted)) return inode;
    }
  return undefined;
}

async function holds(pid: string, inode: string): Promise<boolean> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
      if (target === `socket:[${inode}]`) return true;
    }
  } catch {
    // Another user's process, or gone.
  }
  return false;
}
