import { MockProtocol } from '../memory/mock-protocol';
import { ScriptedRouter, serveMock } from '../memory/serve';
import type { Served } from '../memory/serve';
import type { ConformanceCase, Deeds } from './cases';
import { judge } from './judge';
import type { Report } from './judge';

/** What a client is told of a case. */
export interface Announcement {
  readonly case: string;
  /** `127.0.0.1:port` of the router. Plaintext; any credentials pass. */
  readonly router: string;
  readonly hosters: readonly string[];
  /** Name of the model. */
  readonly model: string;
  readonly do: Deeds;
}

const MODEL = 'conformance';
const DIGEST = 'sha256:mock';
const SLOTS = 100;

/** The subnet of one case: a router and hosters behind real ports. */
export class ConformanceSubnet {
  readonly #case: ConformanceCase;
  readonly #mock: MockProtocol;
  readonly #router: ScriptedRouter;
  readonly #served: readonly Served[];

  private constructor(
    given: ConformanceCase,
    mock: MockProtocol,
    router: ScriptedRouter,
    served: readonly Served[],
  ) {
    this.#case = given;
    this.#mock = mock;
    this.#router = router;
    this.#served = served;
  }

  static async start(given: ConformanceCase): Promise<ConformanceSubnet> {
    const { hosters = 2, failures = [], ...options } = given.given ?? {};
    const names = Array.from({ length: hosters }, (_, index) => `hoster-${index + 1}:1`);
    const inputs = { inputs: [{ name: 'x', dtype: 'float32' as const }], framing: [] };
    const mock = new MockProtocol({ hosters: names, inputs, ...options });
    for (const failure of failures) mock.fail(failure);
    const served = await Promise.all(names.map((name) => serveMock(mock, name)));
    const router = await new ScriptedRouter('').start();
    router.nodes = served.map(({ address }, index) => ({
      ...{ node_id: names[index] ?? '', incarnation: '', address, state: 'NODE_STATE_ONLINE' },
      models: [{ name: MODEL, version: '1', digest: DIGEST, capacity: SLOTS }],
      load: { models: [{ model: MODEL, free_slots: SLOTS }] },
    }));
    return new ConformanceSubnet(given, mock, router, served);
  }

  get announcement(): Announcement {
    const hosters = this.#served.map(({ address }) => address);
    const { name, do: deeds } = this.#case;
    return { case: name, router: this.#router.address, hosters, model: MODEL, do: deeds };
  }

  /** Problems; none: the client did what it must. */
  judge(reports: readonly Report[]): string[] {
    const { turns } = this.#mock;
    return judge(this.#case, reports, { taken: turns.length, open: this.#mock.openSessions() });
  }

  async stop(): Promise<void> {
    await Promise.all([
      this.#router.stop(),
      ...this.#served.map(({ server }) => server.shutdown(0)),
    ]);
    for (const hoster of this.#mock.hosters) this.#mock.stop(hoster);
  }
}
