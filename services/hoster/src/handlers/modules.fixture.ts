/** The hoster's handlers on real engines of modules that a test writes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SessionOptions } from '@cabstand/sessions';
import { openModelHost } from '../models/host';
import type { ModelHost } from '../models/model-host';
import { Harness, until } from './harness.fixture';

export class ServedModules {
  private constructor(
    readonly host: ModelHost,
    readonly harness: Harness,
    /** Folder of the model repository. */
    readonly root: string,
  ) {}

  /**
   * Resolves once each is loaded, or has failed to.
   * @param manifests model.yaml of each, by name
   * @param source index.ts of all of them
   */
  static async start(
    manifests: Readonly<Record<string, string>>,
    source: string,
    engines: NonNullable<Parameters<typeof openModelHost>[0]['engines']>,
    options: SessionOptions,
  ): Promise<ServedModules> {
    const root = mkdtempSync(path.join(tmpdir(), 'cabstand-modules-'));
    for (const [name, manifest] of Object.entries(manifests)) {
      mkdirSync(path.join(root, name, '1'), { recursive: true });
      writeFileSync(path.join(root, name, 'model.yaml'), manifest);
      writeFileSync(path.join(root, name, '1', 'index.ts'), source);
    }
    const host = await openModelHost({ repositories: [root], engines });
    await host.settled();
    return new ServedModules(host, await Harness.start(host, options), root);
  }

  /** Ends all sessions, and waits for their code to come to its end. */
  async empty(): Promise<void> {
    for (const session of [...this.harness.sessions.all()]) session.abort({ reason: 'stopped' });
    await until(() => this.host.models().every(({ openSequences }) => openSequences === 0));
  }

  async stop(): Promise<void> {
    await this.harness.stop();
    await this.host.stop();
    rmSync(this.root, { recursive: true });
  }
}
