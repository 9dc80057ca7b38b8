/** A member of the subnet, with a key of its own, that promises everything and serves nobody. */
import { addMember, createServerAuthorizer, authConfigSchema } from '@cabstand/auth-admin';
import { CabstandError } from '@cabstand/core';
import { HealthService, HosterService, RouterService, RpcClient, RpcServer } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { Subnet, freePorts, until } from '@cabstand/testing';
import { TestClient } from '../support/client';

const MODEL = 'g2p';
const NAME = 'rogue';
const BEAT_MS = 50;

type Beats = BidiStream<v1.HeartbeatRequest, v1.HeartbeatResponse__Output>;

/** Answers health checks, tells of a million free slots and of steps that take no time, fails each call. */
class RogueHoster implements AsyncDisposable {
  /** Calls of clients. */
  calls = 0;
  readonly #server: RpcServer;
  readonly #router: RpcClient;
  #timer: NodeJS.Timeout | undefined;
  #beats: Beats | undefined;
  #gone = false;

  private constructor(
    subnet: Subnet,
    private readonly address: string,
  ) {
    const auth = authConfigSchema.parse(subnet.authConfig(NAME));
    const authorizer = createServerAuthorizer(auth, { audiences: () => [address] });
    this.#server = new RpcServer({ authorizer });
    const fail = (): never => {
      this.calls++;
      throw new CabstandError('ENGINE_CRASHED', 'so sorry');
    };
    this.#server.addService(HosterService, {
      rpc_session_stream: fail,
      rpc_inference_stream: fail,
    });
    this.#server.addService(
      HealthService,
      { Check: () => ({ status: 'SERVING' }) },
      { open: true },
    );
    this.#router = new RpcClient(subnet.routerAddresses[0]!, {
      authorizer: subnet.authorizer(NAME),
    });
  }

  static async start(subnet: Subnet): Promise<RogueHoster> {
    await addMember({ folder: subnet.keys, name: NAME, roles: ['hoster'] });
    const [port] = await freePorts(1);
    const rogue = new RogueHoster(subnet, `127.0.0.1:${String(port)}`);
    await rogue.#server.listen(rogue.address);
    await until('the router to let it in', () => rogue.#join().catch(() => undefined));
    return rogue;
  }

  async #join(): Promise<true> {
    await this.#router.unary(RouterService.rpc_register, {
      address: this.address,
      node_id: NAME,
      incarnation: 'first',
      version: '0.1.0',
      models: [{ name: MODEL, version: '1', capacity: 1_000_000, kind: 'generator' }],
    });
    const beats = (this.#beats = this.#router.bidi(RouterService.rpc_heartbeat));
    void this.#stayKnown(beats);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    this.#beat();
    return true;
  }

  /** As each hoster does: one that was forgotten, or whose stream broke, comes again. */
  async #stayKnown(beats: Beats): Promise<void> {
    try {
      for await (const answer of beats.responses) if (answer.reregister) break;
    } catch {
      // The router went, or this machine was too slow for it.
    }
    await until('the router to let it in again', () =>
      this.#gone ? true : this.#join().catch(() => undefined),
    );
  }

  #beat(): void {
    const load = { model: MODEL, free_slots: 1_000_000, step_seconds: 1e-9 };
    const beat = { node_id: NAME, incarnation: 'first', load: { models: [load] } };
    void this.#beats?.send(beat).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone = true;
    clearInterval(this.#timer);
    this.#router.close();
    await this.#server.shutdown(0);
  }
}

async function speak(subnet: Subnet): Promise<string> {
  // Each client is new: what one has learnt of a hoster helps none of the others.
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const phonemes: string[] = [];
  for await (const chunk of session.runProtocolTask('taxi')) phonemes.push(chunk.text);
  return phonemes.join('');
}

test('a rogue hoster gets less than its share after its first failures, and no turn fails', async () => {
  await using subnet = await Subnet.start({ hosterConfig: { only: [MODEL] } });
  const expected = await speak(subnet);
  await using rogue = await RogueHoster.start(subnet);
  await using watching = new TestClient(subnet);
  await until('three nodes to be online', async () => {
    const nodes = await watching.remote.nodes();
    const online = nodes.filter(({ state }) => state === 'online').length;
    return online === 3 ? true : undefined;
  });
  // It does get some: else nothing would be shown.
  await until('its first failure', async () => {
    expect(await speak(subnet)).toBe(expected);
    return rogue.calls > 0 ? true : undefined;
  });
  const before = rogue.calls;
  const turns = 30;
  const speakers = Array.from({ length: 5 }, async () => {
    const spoken: string[] = [];
    while (spoken.length < turns / 5) spoken.push(await speak(subnet));
    return spoken;
  });
  expect(new Set((await Promise.all(speakers)).flat())).toEqual(new Set([expected]));
  expect(rogue.calls - before).toBeLessThan(turns / 3);
}, 180_000);
