import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { addMember, subnetPaths } from '@cabstand/auth-admin';
import { Child, freePorts, until } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

/** A busy machine takes its time to start processes. */
const READY_MS = 120_000;

interface Started {
  readonly before?: Gateway | undefined;
  readonly at?: readonly number[] | undefined;
  readonly readyMs?: number | undefined;
}

/** A gateway of a test's subnet, a process of its own. */
export class Gateway implements AsyncDisposable {
  private constructor(
    readonly address: string,
    readonly admin: string,
    readonly child: Child,
  ) {}

  /**
   * @param settings merged over what is needed
   * @param how.before one that has ended, whose place it takes
   * @param how.at ports to listen at and for administrators; default: free ones
   * @param how.readyMs how long it may take to be ready, in milliseconds
   */
  static async start(
    subnet: Subnet,
    settings: Readonly<Record<string, unknown>> = {},
    name = 'gateway',
    { before, at, readyMs = READY_MS }: Started = {},
  ): Promise<Gateway> {
    const [port, adminPort] = at ?? (await freePorts(2));
    const address = before?.address ?? `127.0.0.1:${String(port)}`;
    const admin = before?.admin ?? `127.0.0.1:${String(adminPort)}`;
    const auth = subnet.authConfig(name);
    if (auth.mode === 'keys' && before === undefined)
      await addMember({ folder: subnet.keys, name, roles: ['gateway'] });
    const config = {
      listen: address,
      admin: { listen: admin },
      routers: subnet.routerAddresses,
      auth,
      ...(subnet.clientTls === undefined
        ? {}
        : {
            tls: {
              cert: subnetPaths(subnet.keys).cert(name),
              key: subnetPaths(subnet.keys).certKey(name),
              ...subnet.clientTls,
            },
          }),
      ...settings,
    };
    const file = path.join(subnet.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(config));
    const main = path.join(subnet.build, 'services/gateway/dist/main.js');
    const child = new Child(name, [main, '--config', file]);
    try {
      await until(
        `${name} to be ready`,
        async () => {
          if (!child.running) throw new Error(`${name} ended`);
          return (await fetch(`http://${admin}/readyz`)).ok || undefined;
        },
        { timeoutMs: readyMs, explain: () => child.output },
      );
    } catch (error) {
      await child.stop();
      throw error;
    }
    return new Gateway(address, admin, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stop();
  }
}
