/** What doors ask, answered by sessions at whichever hosters there are. */
import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { KeyedSessions } from '@cabstand/doors';
import type {
  Caller,
  ModelFacts,
  ServedRecord,
  ServedSession,
  Serving,
  SessionAsk,
  TurnAsk,
} from '@cabstand/doors';
import { checkOpen } from '../handlers/context';
import type { HandlerContext } from '../handlers/context';
import { askSubnet, distinct } from '../handlers/info';
import { parsePriority } from '../handlers/parse';
import { KnownModels } from '../known-models';
import { GatewaySession } from './gateway-session';
import { modelFacts, servedByDefault } from './model-facts';

export class GatewayServing implements Serving {
  readonly #context: HandlerContext;
  readonly #known: KnownModels<ModelFacts>;
  readonly #keyed: KeyedSessions<GatewaySession>;

  constructor(context: HandlerContext, clock: Clock) {
    this.#context = context;
    this.#known = new KnownModels(clock);
    this.#keyed = new KeyedSessions('gateway', () => context.sessions.size);
  }

  get version(): string {
    return this.#context.identity.version;
  }

  /** A hoster takes sessions: which models it has is asked with their names. */
  async ready(signal: AbortSignal): Promise<boolean> {
    const { stopping, remote } = this.#context;
    if (stopping.aborted) return false;
    // Whoever cannot be asked is not there.
    const nodes = await remote.nodes(signal).catch(() => []);
    return nodes.some(({ state, models }) => state === 'online' && models.length > 0);
  }

  async models({ principal }: Caller, signal: AbortSignal): Promise<readonly ModelFacts[]> {
    const answers = await askSubnet(this.#context, [], { principal, signal });
    return distinct(answers).map(modelFacts);
  }

  async model(
    name: string,
    version: string | undefined,
    { principal }: Caller,
    signal: AbortSignal,
  ): Promise<ModelFacts> {
    // Its answer is for others too: it does not end with the call that wants it first.
    const asking = { principal, signal: new AbortController().signal };
    const versions = await this.#known.versions(
      name,
      async () => {
        const answers = await askSubnet(this.#context, [name], asking);
        return distinct(answers).map(modelFacts);
      },
      signal,
    );
    const found =
      version === undefined
        ? servedByDefault(versions)
        : versions.find((model) => model.version === version);
    if (found !== undefined) return found;
    throw unknownModel(name, version, versions);
  }

  async *runTurn(ask: TurnAsk, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    const session = await this.#open(ask, signal);
    try {
      yield* session.run(ask.input, signal);
    } finally {
      await session.close();
    }
  }

  session(ask: SessionAsk, signal: AbortSignal): Promise<ServedSession> {
    return this.#keyed.session(ask, () => this.#open(ask, signal));
  }

  /** A session that is nobody's but the door's; a hoster has it from its first turn on. */
  async #open(
    { caller, model, version, priority = 0 }: TurnAsk | SessionAsk,
    signal: AbortSignal,
  ): Promise<GatewaySession> {
    checkOpen(this.#context);
    const { principal } = caller;
    const facts = await this.model(model, version, caller, signal);
    const held = this.#context.sessions.open(principal, {
      id: undefined,
      epoch: 0,
      model,
      // While hosters have several versions, only those that have the one that was asked for.
      digest: version === undefined ? undefined : facts.digest,
      priority: parsePriority(priority, principal),
    });
    return new GatewaySession(this.#context, held, facts, caller.trace);
  }
}

function unknownModel(
  name: string,
  version: string | undefined,
  versions: readonly ModelFacts[],
): CabstandError {
  const [expected] = versions.map((model) => model.version);
  if (version === undefined || expected === undefined)
    return new CabstandError('MODEL_UNKNOWN', `no hoster has a model "${name}"`, {
      metadata: { model: name },
    });
  return new CabstandError(
    'MODEL_UNKNOWN',
    `model ${name}: no hoster has version ${version}, but ${versions.map((model) => model.version).join(', ')}`,
    { metadata: { model: name, field: 'model_version', value: version, expected } },
  );
}
