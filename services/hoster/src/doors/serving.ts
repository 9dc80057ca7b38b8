/** What doors ask, answered by the sessions of this hoster: admitted, limited and counted as those of its own protocol. */
import { randomBytes } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import { KeyedSessions } from '@cabstand/doors';
import type {
  Caller,
  ModelControl,
  ModelFacts,
  ServedRecord,
  ServedSession,
  Serving,
  SessionAsk,
  TurnAsk,
} from '@cabstand/doors';
import { NO_EPOCH, lookAhead, openSession } from '@cabstand/hosting';
import type { OpenRequest, ServedModel, Session } from '@cabstand/sessions';
import { wholeError } from '../engines/told';
import type { HandlerContext } from '../handlers/context';
import { HosterSession } from './hoster-session';
import { brokenFacts, modelFacts } from './model-facts';
import { contentOf, runTurn } from './turn';

/** A session whose name a door chose has that door as its only consumer. */
const epochOfDoor = () => ({ counter: 1, owner: randomBytes(16).toString('hex') });

export class HosterServing implements Serving {
  readonly control: ModelControl;
  readonly #context: HandlerContext;
  readonly #keyed: KeyedSessions<HosterSession>;

  constructor(context: HandlerContext) {
    this.#context = context;
    this.#keyed = new KeyedSessions('hoster', () => context.sessions.size);
    this.control = {
      load: (name, version) => this.#load(name, version),
      unload: (name, version) => this.#unload(name, version),
    };
  }

  get version(): string {
    return this.#context.identity.version;
  }

  ready(): boolean {
    const { sessions, host } = this.#context;
    if (sessions.openness.kind !== 'open') return false;
    return host.models().some(({ status }) => status.state === 'ready');
  }

  models(caller: Caller): Promise<readonly ModelFacts[]> {
    const { host } = this.#context;
    const whole = isAdmin(caller);
    return Promise.resolve([
      ...host.models().map((model) => modelFacts(model, whole)),
      ...host.broken().map((broken) => brokenFacts(broken, whole)),
    ]);
  }

  // Not async: it throws as it would reject.
  // eslint-disable-next-line @typescript-eslint/require-await
  async model(name: string, version: string | undefined, caller: Caller): Promise<ModelFacts> {
    const { host } = this.#context;
    const named = host.models().filter((model) => model.name === name);
    const found = named.find((model) => model.version === version) ?? this.#serves(name, named);
    if (version !== undefined && found.version !== version) throw unknownVersion(found, version);
    return modelFacts(found, isAdmin(caller));
  }

  async *runTurn(ask: TurnAsk, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    const content = contentOf(ask.input, false);
    const opening = { id: undefined, retention: 'call', epoch: NO_EPOCH, content } as const;
    await lookAhead(this.#context, ask.caller, { ...ask, ...opening, resume: undefined });
    const session = await this.#open(ask, opening, signal);
    yield* runTurn(this.#context.sessions, session, NO_EPOCH, content, undefined, signal);
  }

  session(ask: SessionAsk, signal: AbortSignal): Promise<ServedSession> {
    return this.#keyed.session(ask, () => this.#openKeyed(ask, signal));
  }

  async #openKeyed(ask: SessionAsk, signal: AbortSignal): Promise<HosterSession> {
    const { caller, key, durable = true } = ask;
    // Ids of sessions that have ended are not used again.
    const nonce = randomBytes(4).toString('hex');
    const id =
      key === undefined ? `door-${nonce}${randomBytes(12).toString('hex')}` : `${key}-${nonce}`;
    const epoch = epochOfDoor();
    const retention = durable ? 'durable' : 'kept';
    const session = await this.#open(ask, { id, retention, epoch }, signal);
    const facts = modelFacts(session.model, isAdmin(caller));
    return new HosterSession(this.#context.sessions, session, epoch, facts);
  }

  async #open(
    { caller, model, version, priority = 0 }: TurnAsk | SessionAsk,
    opening: Pick<OpenRequest, 'id' | 'retention' | 'epoch' | 'content'>,
    signal: AbortSignal,
  ): Promise<Session> {
    const call = { principal: caller.principal, trace: caller.trace, signal };
    const session = await openSession(this.#context, call, { ...opening, model, priority }, '');
    if (version === undefined || session.model.version === version) return session;
    session.abort({ reason: 'cancelled' });
    throw unknownVersion(session.model, version);
  }

  /** The one that takes new sessions; while there is none, the newest that is there. */
  #serves(name: string, named: readonly ServedModel[]): ServedModel {
    const { host } = this.#context;
    const [newest] = [...named].sort((a, b) => Number(b.version) - Number(a.version));
    try {
      return host.resolve(name);
    } catch (error) {
      if (newest === undefined) throw error;
      return newest;
    }
  }

  async #load(name: string, version: string | undefined): Promise<ModelFacts> {
    const model = await this.#context.host.load(name, version).catch((error: unknown) => {
      // Only administrators load models.
      throw wholeError(CabstandError.from(error));
    });
    return modelFacts(model, true);
  }

  async #unload(name: string, version: string | undefined): Promise<void> {
    await this.#context.host.unload(name, version, this.#context.unloadDeadlineMs);
  }
}

const isAdmin = ({ principal }: Caller): boolean => principal.roles.has('admin');

function unknownVersion({ name, version }: ServedModel, wanted: string): CabstandError {
  return new CabstandError(
    'MODEL_UNKNOWN',
    `model ${name}: version ${wanted} takes no new sessions here, ${version} does`,
    { metadata: { model: name, field: 'model_version', value: wanted, expected: version } },
  );
}
