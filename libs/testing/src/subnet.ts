import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  authConfigSchema,
  createClientAuthorizer,
  generateSubnetKeys,
  subnetPaths,
} from '@cabstand/auth-admin';
import type { AuthConfigInput } from '@cabstand/auth-admin';
import type { Authorizer } from '@cabstand/rpc';
import { Child } from './child';
import { freePorts } from './free-ports';
import { FaultProxy } from './proxy/proxy';
import { until } from './until';

type Settings = Readonly<Record<string, unknown>>;

export interface SubnetOptions {
  /** Default 1. */
  readonly routers?: number;
  /** Default 2. */
  readonly hosters?: number;
  /** Model repository, absolute. Default: the bundled models. */
  readonly models?: string;
  /** `keys`: everything is signed. Default `keys`. */
  readonly auth?: 'keys' | 'none';
  /** Everybody checks the answers of servers too, as `cabstand up` has it. Default false. */
  readonly verifyServers?: boolean;
  /** Serve and dial with TLS. Default false. */
  readonly tls?: boolean;
  /** Put a `FaultProxy` in front of each service: everybody dials it instead. Default false. */
  readonly proxied?: boolean;
  /** Everybody dials routers by the names `router-0.test` …, which the test resolves. Default false. */
  readonly named?: boolean;
  /** Further settings, merged over what the subnet sets. */
  readonly routerConfig?: Settings;
  readonly hosterConfig?: Settings;
  /** How long to wait for everything to be ready. Default 60 s. */
  readonly readyMs?: number;
}

/** What is different about one service. */
export interface ServiceChanges {
  /** Merged over all other settings. */
  readonly settings?: Settings;
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** A command that becomes the service's process, as `unshare -m` does. */
  readonly under?: readonly string[];
}

/** A service process with its addresses. */
export interface Service {
  readonly address: string;
  readonly admin: string;
  readonly child: Child;
  /** What others dial: the proxy's address, where there is one. */
  readonly dialled: string;
  /** Set in a subnet that is `proxied`; outlives the process behind it. */
  readonly proxy: FaultProxy | undefined;
}

export const REPOSITORY_ROOT = path.resolve(__dirname, '../../..');
export const BUNDLED_MODELS = path.join(REPOSITORY_ROOT, 'models');
export const TEST_MODELS = path.join(REPOSITORY_ROOT, 'test/models');
/** Language models as optimum exports them, and what they must answer. */
export const LANGUAGE_MODELS = path.join(REPOSITORY_ROOT, 'test/language-models');
/** Models with an encoder as optimum exports them, and what they must answer. */
export const ENCODER_MODELS = path.join(REPOSITORY_ROOT, 'test/encoder-models');

/**
 * Real routers and hosters on loopback, each a process of its own, with keys of their own, in a
 * folder of their own that goes with them. Needs built services.
 */
export class Subnet implements AsyncDisposable {
  readonly routers: Service[] = [];
  readonly hosters: Service[] = [];
  readonly folder = mkdtempSync(path.join(tmpdir(), 'cabstand-subnet-'));
  /** The build that services are started from. */
  build = REPOSITORY_ROOT;
  readonly #options: SubnetOptions;
  readonly #proxies: FaultProxy[] = [];

  private constructor(options: SubnetOptions) {
    this.#options = options;
  }

  static async start(options: SubnetOptions = {}): Promise<Subnet> {
    const subnet = new Subnet(options);
    try {
      await subnet.#start();
    } catch (error) {
      await subnet.stop();
      throw error;
    }
    return subnet;
  }

  get routerAddresses(): string[] {
    return this.routers.map(({ dialled }) => dialled);
  }

  /** Where `cabstand keys` would put them. */
  get keys(): string {
    return path.join(this.folder, 'keys');
  }

  /** What a member of the subnet signs its calls with. */
  authorizer(member = 'client'): Authorizer {
    return createClientAuthorizer(authConfigSchema.parse(this.authConfig(member)));
  }

  authConfig(member: string): AuthConfigInput {
    if (this.#options.auth === 'none') return { mode: 'none' };
    const paths = subnetPaths(this.keys);
    const verify_servers = this.#options.verifyServers ?? false;
    return { mode: 'keys', keys: paths.keys, key: paths.key(member), verify_servers };
  }

  /** Certificates for a client's channels; undefined without TLS. */
  get clientTls(): { readonly ca: string } | undefined {
    return this.#options.tls === true ? { ca: subnetPaths(this.keys).ca } : undefined;
  }

  async #start(): Promise<void> {
    const { routers = 1, hosters = 2, auth = 'keys', readyMs = 60_000 } = this.#options;
    if (auth === 'keys') await generateSubnetKeys({ folder: this.keys });
    for (let i = 0; i < routers; i++) this.routers.push(await this.startRouter(i));
    const started = Array.from({ length: hosters }, (_, i) => this.startHoster(i));
    this.hosters.push(...(await Promise.all(started)));
    await Promise.all([...this.routers, ...this.hosters].map((s) => ready(s, readyMs)));
  }

  /** Starts one more router (or one again, at `at`); not yet ready. */
  startRouter(index: number, at?: Service, changes: ServiceChanges = {}): Promise<Service> {
    const settings = { ...this.#options.routerConfig, ...changes.settings };
    return this.#launch('router', `router-${String(index)}`, settings, at, changes);
  }

  /** Starts one more hoster (or one again, at `at`); not yet ready. */
  startHoster(index: number, at?: Service, changes: ServiceChanges = {}): Promise<Service> {
    const settings = {
      models: this.#options.models ?? BUNDLED_MODELS,
      routers: this.routerAddresses,
      ...this.#options.hosterConfig,
      ...changes.settings,
    };
    return this.#launch('hoster', `hoster-${String(index)}`, settings, at, changes);
  }

  async #launch(
    kind: 'router' | 'hoster',
    name: string,
    settings: Settings,
    at: Service | undefined,
    { env, under }: ServiceChanges,
  ): Promise<Service> {
    const ports = at === undefined ? await freePorts(2) : [];
    const address = at?.address ?? `127.0.0.1:${String(ports[0])}`;
    const admin = at?.admin ?? `127.0.0.1:${String(ports[1])}`;
    const proxy =
      at?.proxy ?? (this.#options.proxied === true ? await this.#proxy(address) : undefined);
    const dialled = proxy?.address ?? at?.dialled ?? this.#byName(kind, name, address);
    const paths = subnetPaths(this.keys);
    const tls = this.#options.tls
      ? { tls: { cert: paths.cert(kind), key: paths.certKey(kind), ca: paths.ca } }
      : {};
    const config = {
      listen: address,
      admin: { listen: admin },
      auth: { ...this.authConfig(kind), audiences: [dialled] },
      ...(kind === 'hoster' ? { advertise: dialled } : {}),
      ...tls,
      ...settings,
    };
    const file = path.join(this.folder, `${name}.yaml`);
    writeFileSync(file, JSON.stringify(config));
    const entry = path.join(this.build, 'services', kind, 'dist/main.js');
    const child = new Child(name, [entry, '--config', file], env, undefined, under);
    return { address, admin, child, dialled, proxy };
  }

  #byName(kind: 'router' | 'hoster', name: string, address: string): string {
    const named = kind === 'router' && this.#options.named === true;
    return named ? `${name}.test:${address.slice(address.lastIndexOf(':') + 1)}` : address;
  }

  async #proxy(address: string): Promise<FaultProxy> {
    const proxy = await FaultProxy.start(address);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Waits until a service says that it is ready. */
  async ready(service: Service): Promise<void> {
    await ready(service, this.#options.readyMs ?? 60_000);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.hosters, ...this.routers].map(({ child }) => child.stop()));
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function ready({ admin, child }: Service, timeoutMs: number): Promise<void> {
  await until(
    `${child.name} to be ready`,
    async () => {
      const response = await fetch(`http://${admin}/readyz`);
      return response.ok ? true : undefined;
    },
    {
      timeoutMs,
      explain: () => child.output,
      hopeless: () => (child.running ? undefined : `${child.name} ended`),
    },
  );
}
