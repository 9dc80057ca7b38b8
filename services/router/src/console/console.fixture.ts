import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import {
  authConfigSchema,
  createServerAuthorizer,
  generateSubnetKeys,
  subnetPaths,
} from '@cabstand/auth-admin';
import { FakeClock } from '@cabstand/core';
import { listenOn } from '@cabstand/rpc';
import type { AuditEvent, AuditFacts } from '@cabstand/service';
import type { RouterCore } from '../core';
import { stand } from '../core.fixture';
import { Console } from './console';
import type { ConsoleOptions } from './console';
import { Gateways } from './gateways';
import { Happenings } from './happenings';

/** What tokens for this router are for. */
const AUDIENCE = 'router.test:50050';

/** A console behind real HTTP, with real tokens, over a core without hosters. */
export class ConsoleRig implements AsyncDisposable {
  readonly audits: { readonly event: AuditEvent; readonly facts: AuditFacts }[] = [];
  readonly failures: unknown[] = [];
  readonly stopping = new AbortController();

  private constructor(
    readonly core: RouterCore,
    readonly clock: FakeClock,
    readonly url: string,
    private readonly folder: string,
    private readonly close: () => void,
  ) {}

  static async start(
    auth: 'keys' | 'none' = 'keys',
    more: Partial<ConsoleOptions> = {},
  ): Promise<ConsoleRig> {
    const folder = mkdtempSync(path.join(tmpdir(), 'console-'));
    const members = [
      { name: 'router', roles: ['router'] as const },
      { name: 'hoster', roles: ['hoster'] as const },
      { name: 'client', roles: ['client'] as const },
      { name: 'admin', roles: ['admin', 'client'] as const },
    ];
    await generateSubnetKeys({ folder, members });
    const paths = subnetPaths(folder);
    const config = authConfigSchema.parse(
      auth === 'none' ? {} : { mode: 'keys', keys: paths.keys, key: paths.key('router') },
    );
    const clock = new FakeClock();
    const happenings = new Happenings(clock);
    const { core } = stand({ clock }, happenings.observer);
    const server = createServer((request, response) => page.serve(request, response));
    const port = await listenOn(server, '127.0.0.1:0');
    const rig = new ConsoleRig(core, clock, `http://127.0.0.1:${port}/console`, folder, () => {
      page.stop();
      server.closeAllConnections();
      server.close();
    });
    const page = new Console({
      core,
      happenings,
      gateways: new Gateways(),
      authorizer: createServerAuthorizer(config, { audiences: () => [AUDIENCE] }),
      observers: [],
      audit: { record: (event, facts) => void rig.audits.push({ event, facts }) },
      bindPrincipal: false,
      open: auth === 'none',
      maxViewers: 4,
      failed: (error) => rig.failures.push(error),
      stopping: rig.stopping.signal,
      ...more,
    });
    return rig;
  }

  /** The header that a member of the subnet sends. */
  async as(member: string, audience = AUDIENCE): Promise<{ readonly authorization: string }> {
    const key = readPrivateKey(subnetPaths(this.folder).key(member));
    return { authorization: `Bearer ${await new MintedTokens({ key }).get(audience)}` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.core.stop(new Error('over') as never);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The next event of that name. */
export async function nextEvent(
  reader: ReadableStreamDefaultReader<string>,
  name: string,
): Promise<unknown> {
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the stream ended without ${name}: ${text}`);
    text += value;
    const found = new RegExp(`event: ${name}\ndata: (.*)\n\n`).exec(text)?.[1];
    if (found !== undefined) return JSON.parse(found);
  }
}
