import type { Random } from '../faults/random';
import type { Target } from './call';
import { anyMessage, bytes } from './generate';
import { SPARE_MODEL, TURN_MODELS, inputOf } from './models';
import { methodOf } from './teller';
import type { Manner, Teller } from './teller';
import type { Fields } from './wire';

const EVERYWHERE: readonly Target[] = ['router', 'hoster-0', 'hoster-1'];
const HOSTERS: readonly Target[] = ['hoster-0', 'hoster-1'];
/** Nodes that the fuzzer registers: it hurts no others. They offer a model that nobody asks for. */
const NODES = 6;
const NOBODYS_MODEL = 'fuzz-model';
const ENDINGS = { end: 6, cancel: 2, none: 1 } as const;
const SERVICES = ['', 'cabstand.v1.HosterService', 'cabstand.v1.HosterService/g2p', 'nothing'];

/** A valid message for each method, apart from those of sessions, and where it goes. */
interface Template {
  readonly targets: readonly Target[];
  readonly member?: Manner['member'];
  readonly make: (random: Random) => Fields;
  readonly weight: number;
}

function node(random: Random): { readonly node_id: string; readonly incarnation: string } {
  const number = String(random.int(1, NODES));
  return { node_id: `fuzz-node-${number}`, incarnation: `fuzz-incarnation-${number}` };
}

function offer(random: Random): Fields {
  return {
    ...{ name: NOBODYS_MODEL, version: '1', digest: `sha256:${'0'.repeat(64)}`, batch_class: 1 },
    ...{ provider: 'cpu', capacity: random.int(1, 64), kind: 'generator', reference: 'golden' },
  };
}

const now = (): Fields => ({ seconds: Math.floor(Date.now() / 1000), nanos: 0 });
const epoch = (random: Random): Fields => ({ counter: 1, owner: bytes(random, 16) });
const sessionId = (random: Random): string => `nobodys-${String(random.int(1, 50))}`;

const ROUTER: readonly Target[] = ['router'];

const TEMPLATES: Readonly<Record<string, Template>> = {
  rpc_register: {
    ...{ targets: ROUTER, member: 'hoster', weight: 2 },
    make: (random) => ({
      ...node(random),
      ...{ address: `127.0.0.1:${String(random.int(1, NODES))}`, models: [offer(random)] },
      ...{
        version: '0.1.0',
        clock: now(),
        other_models: [{ name: 'old', version: '1', state: 5 }],
      },
    }),
  },
  rpc_heartbeat: {
    ...{ targets: ROUTER, member: 'hoster', weight: 4 },
    make: (random) => ({
      ...node(random),
      load: {
        models: [{ model: NOBODYS_MODEL, free_slots: 3, queue_depth: 0, step_seconds: 0.01 }],
        ...{ open_sessions: 1, event_loop_lag_seconds: 0.001 },
      },
      ...{ sessions_opened: [{ session_id: sessionId(random), epoch: 1 }], clock: now() },
      ...{ sessions_closed: [sessionId(random)], consumed_lease_ids: ['x'], impairments: [] },
      ...{ models: [offer(random)], models_changed: random.int(0, 1) === 0 },
    }),
  },
  rpc_deregister: {
    ...{ targets: ROUTER, member: 'hoster', weight: 2 },
    make: (random) => ({ ...node(random), reason: 'fuzzed' }),
  },
  rpc_acquire: {
    ...{ targets: ROUTER, weight: 4 },
    make: (random) => ({
      ...{
        model: random.pick([...TURN_MODELS, SPARE_MODEL]),
        exclude: [{ node_id: 'fuzz-node-1' }],
      },
      ...{ block: ['nobody'], resume: random.int(0, 1) === 0, session_id: sessionId(random) },
    }),
  },
  rpc_watch_nodes: {
    ...{ targets: ROUTER, weight: 2 },
    make: (random) => ({ models: [random.pick(TURN_MODELS)], max_nodes: random.int(0, 3) }),
  },
  rpc_locate: { targets: ROUTER, weight: 2, make: (random) => ({ session_id: sessionId(random) }) },
  rpc_report: {
    ...{ targets: ROUTER, weight: 2 },
    make: (random) => ({
      ...{ ...node(random), lease_id: 'none', reason: 'NODE_UNREACHABLE', message: 'fuzzed' },
    }),
  },
  rpc_drain: {
    ...{ targets: ROUTER, member: 'admin', weight: 2 },
    make: (random) => ({
      ...{ node_id: node(random).node_id, deadline: { seconds: 1 }, undo: random.int(0, 1) === 0 },
    }),
  },
  rpc_info: {
    ...{ targets: HOSTERS, weight: 2 },
    make: (random) => ({ models: [random.pick(TURN_MODELS)] }),
  },
  rpc_inference_stream: {
    ...{ targets: HOSTERS, weight: 6 },
    make: (random) => {
      const model = random.pick(TURN_MODELS);
      return { model, ...inputOf(random, model), parameters: '{}', priority: 1 };
    },
  },
  rpc_session_update: {
    ...{ targets: HOSTERS, weight: 2 },
    make: (random) => ({
      ...{ session_id: sessionId(random), epoch: epoch(random), ack: { position: 1 } },
    }),
  },
  rpc_session_status: {
    ...{ targets: HOSTERS, weight: 2 },
    make: (random) => ({ session_id: sessionId(random) }),
  },
  rpc_share_session: {
    ...{ targets: HOSTERS, weight: 1 },
    make: (random) => ({ session_id: sessionId(random), ttl_ms: 1000 }),
  },
  rpc_close_session: {
    ...{ targets: HOSTERS, weight: 2 },
    make: (random) => ({ session_id: sessionId(random), epoch: epoch(random) }),
  },
  rpc_load_model: {
    ...{ targets: HOSTERS, member: 'admin', weight: 2 },
    make: (random) => ({ model: random.pick(['nothing', SPARE_MODEL]), version: '1' }),
  },
  rpc_unload_model: {
    ...{ targets: HOSTERS, member: 'admin', weight: 2 },
    make: (random) => ({
      ...{ model: random.pick(['nothing', SPARE_MODEL]), version: '1', deadline: { seconds: 1 } },
    }),
  },
  '/grpc.health.v1.Health/Check': {
    ...{ targets: EVERYWHERE, weight: 1 },
    make: (random) => ({ service: random.pick(SERVICES) }),
  },
  '/grpc.health.v1.Health/List': { targets: EVERYWHERE, weight: 0.5, make: () => ({}) },
  '/grpc.health.v1.Health/Watch': {
    ...{ targets: EVERYWHERE, weight: 1 },
    make: (random) => ({ service: random.pick(SERVICES) }),
  },
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': {
    ...{ targets: EVERYWHERE, weight: 1 },
    make: () => ({ file_containing_symbol: 'cabstand.v1.HosterService' }),
  },
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': {
    ...{ targets: EVERYWHERE, weight: 1 },
    make: () => ({ list_services: '' }),
  },
};

const WEIGHTS = Object.fromEntries(
  Object.entries(TEMPLATES).map(([name, { weight }]) => [name, weight]),
);

/** Names of all methods that have a template. */
export const SINGLE_METHODS = Object.keys(TEMPLATES);

/** One call of any method: valid, mutated, of random fields, of no message or of several. */
export async function singleCall(teller: Teller): Promise<void> {
  const { random } = teller;
  const name = random.weighted(WEIGHTS);
  const template = TEMPLATES[name];
  if (template === undefined) return;
  const { requestStream, request } = methodOf(name);
  const count = requestStream
    ? random.int(0, 4)
    : Number(random.weighted({ '1': 30, '0': 1, '2': 1 }));
  const messages = Array.from({ length: count }, () =>
    // Models are taken away only on purpose: nothing else could be fuzzed without them.
    random.int(0, 5) === 0 && name !== 'rpc_unload_model'
      ? anyMessage(random, request)
      : template.make(random),
  );
  await teller.call(name, messages, {
    ...{ target: random.pick(template.targets), mutated: random.pick([0, 0.8, 1]) },
    ...(template.member === undefined ? {} : { member: template.member }),
    // A call that was sent two requests or none, where one belongs, still has to end.
    ending: random.weighted(ENDINGS),
  });
}
