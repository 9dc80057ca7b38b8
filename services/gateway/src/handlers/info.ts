import { CabstandError } from '@cabstand/core';
import type { RemoteNode } from '@cabstand/client';
import { HosterService } from '@cabstand/rpc';
import type { ServerCall, UnaryHandler, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';

const ASK_MS = 5000;
/** Most hosters that are asked at once for one answer. */
const MOST_ASKED = 32;
/** So often others are asked in place of hosters that did not answer. */
const MOST_ROUNDS = 3;

/** Who asks. */
type Asking = Pick<ServerCall, 'principal' | 'signal'>;

/** What can be asked here: the models of all hosters, each as one of those says that has it. */
export function info(
  context: HandlerContext,
): UnaryHandler<v1.InfoRequest__Output, v1.InfoResponse> {
  return async ({ models }, call) => {
    const answers = await askSubnet(context, models, call);
    const { identity, limits } = context;
    return {
      version: identity.version,
      node_id: identity.nodeId,
      incarnation: identity.incarnation,
      models: distinct(answers),
      limits: {
        max_message_bytes: least(limits.maxMessageBytes, answers),
        max_sessions: limits.maxSessions,
        max_sessions_per_principal: limits.maxSessionsPerPrincipal,
      },
      open_sessions: context.sessions.size,
      draining: context.stopping.aborted,
      onnxruntime_version: answers[0]?.onnxruntime_version ?? '',
    };
  };
}

/**
 * What hosters say of these models, or of all, that together have every version of every one. Throws
 * ROUTER_UNREACHABLE, and what asking failed with where nobody answered.
 */
export async function askSubnet(
  context: HandlerContext,
  models: readonly string[],
  asking: Asking,
): Promise<readonly v1.InfoResponse__Output[]> {
  const nodes = await context.remote.nodes(asking.signal);
  const wanted = new Set(models);
  const left = new Set(nodes.filter(({ state }) => state !== 'offline'));
  const answers: v1.InfoResponse__Output[] = [];
  const known = new Set<string>();
  let failed: unknown;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const asked = covering(left, wanted, known);
    if (asked.length === 0) break;
    const told = await Promise.allSettled(
      asked.map((node) => askHoster(context, node, models, asking)),
    );
    for (const [index, node] of asked.entries()) {
      left.delete(node);
      const one = told[index];
      if (one?.status === 'fulfilled') {
        answers.push(one.value);
        offers(node, wanted).forEach((offer) => known.add(offer));
      } else failed = one?.reason;
    }
  }
  if (answers.length === 0 && failed !== undefined) throw CabstandError.from(failed);
  return answers;
}

async function askHoster(
  { hosters, named }: HandlerContext,
  { address }: RemoteNode,
  models: readonly string[],
  { principal, signal }: Asking,
): Promise<v1.InfoResponse__Output> {
  return await hosters
    .get(address)
    .unary(
      HosterService.rpc_info,
      { models: [...models] },
      { signal, timeoutMs: ASK_MS, onBehalfOf: named ? principal.id : undefined },
    );
}

/** Nodes that together have every version of every model that is not known; online ones first. */
function covering(
  nodes: Iterable<RemoteNode>,
  wanted: ReadonlySet<string>,
  known: ReadonlySet<string>,
): RemoteNode[] {
  const covered = new Set(known);
  return [...nodes]
    .sort((a, b) => Number(b.state === 'online') - Number(a.state === 'online'))
    .filter((node) => {
      const fresh = offers(node, wanted).filter((offer) => !covered.has(offer));
      fresh.forEach((offer) => covered.add(offer));
      return fresh.length > 0;
    })
    .slice(0, MOST_ASKED);
}

function offers({ models }: RemoteNode, wanted: ReadonlySet<string>): string[] {
  return models
    .filter(({ name }) => wanted.size === 0 || wanted.has(name))
    .map(({ name, digest }) => `${name} ${digest}`);
}

/** Each version once; one that can be used before one that cannot. */
export function distinct(answers: readonly v1.InfoResponse__Output[]): v1.ModelInfo__Output[] {
  const byKey = new Map<string, v1.ModelInfo__Output>();
  for (const model of answers.flatMap(({ models }) => models)) {
    const key = `${model.offer?.name ?? ''} ${model.offer?.version ?? ''} ${model.offer?.digest ?? ''}`;
    const before = byKey.get(key);
    if (before === undefined || (before.state !== READY && model.state === READY))
      byKey.set(key, model);
  }
  return [...byKey.values()];
}

const READY = 'MODEL_STATE_READY';

function least(own: number, answers: readonly v1.InfoResponse__Output[]): number {
  return Math.min(own, ...answers.map(({ limits }) => limits?.max_message_bytes ?? Infinity));
}
