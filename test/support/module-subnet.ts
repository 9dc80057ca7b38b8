import { rmSync } from 'node:fs';
import { Subnet } from '@cabstand/testing';
import type { SubnetOptions } from '@cabstand/testing';
import { TestClient } from './client';
import { moduleRepository } from './module-models';
import type { ModuleModel } from './module-models';

/** A subnet that serves modules, and a client of it; their repository goes with them. */
export class ModuleSubnet implements AsyncDisposable {
  /** Folder of the model repository. */
  readonly models: string;
  readonly subnet: Subnet;
  readonly client: TestClient;

  private constructor(models: string, subnet: Subnet) {
    this.models = models;
    this.subnet = subnet;
    this.client = new TestClient(subnet);
  }

  static async start(
    modules: Readonly<Record<string, ModuleModel>>,
    options: SubnetOptions = {},
  ): Promise<ModuleSubnet> {
    const models = moduleRepository(modules);
    try {
      return new ModuleSubnet(models, await Subnet.start({ hosters: 1, models, ...options }));
    } catch (error) {
      rmSync(models, { recursive: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.subnet.stop();
    rmSync(this.models, { recursive: true });
  }
}
