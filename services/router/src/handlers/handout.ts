import { invalid } from '@cabstand/core';
import { callerOf } from '@cabstand/service';
import { clip } from '../registry/validate';
import { toNodeInfo, toTimestamp } from './convert';
import { encodeHandOut } from './handout-encoder';
import type { RouterHandlers } from '@cabstand/rpc';
import type { HandOut } from '../handouts';
import type { HandlerContext } from './context';
import type { TicketedLease } from './handout-encoder';

/** Leases that one call gives back: those beyond expire by themselves. */
const MOST_RETURNED = 256;

/** What clients ask: a slot, a session's whereabouts; and what they tell of nodes. */
export function handOutHandlers(
  context: HandlerContext,
): Pick<Required<RouterHandlers>, 'rpc_acquire' | 'rpc_locate' | 'rpc_report'> {
  const { core, tickets, audit, pieces } = context;
  const ticketed = async (given: readonly HandOut[]): Promise<TicketedLease[]> => {
    const signed = await tickets.signAll(given.map(({ lease }) => lease));
    return given.map(({ lease, node }, at) => ({
      lease_id: lease.leaseId,
      ticket: signed[at] ?? '',
      expires: toTimestamp(lease.expiresMs),
      node,
    }));
  };
  return {
    rpc_acquire: async (request, call) => {
      const wanted = {
        model: request.model,
        digest: request.digest,
        exclude: request.exclude.map((ref) => ({
          nodeId: ref.node_id,
          incarnation: ref.incarnation,
        })),
        allow: request.allow,
        block: request.block,
        resume: request.resume,
        sessionId: request.session_id,
      };
      if (request.count < 0)
        throw invalid('INVALID_ARGUMENT', 'count', request.count, 'at least 0');
      const { id } = call.principal;
      for (const leaseId of request.returned_lease_ids.slice(0, MOST_RETURNED))
        core.giveBack(leaseId, id);
      const first = core.acquire(wanted, id);
      const more = core.more(wanted, id, request.count - 1);
      try {
        const leases = await ticketed([first, ...more]);
        // A server sends what is serialized already as it is, whatever the type of the answer.
        return encodeHandOut(pieces, leases, first.alternatives) as never;
      } catch (error) {
        for (const { lease } of [first, ...more]) core.release(lease.leaseId);
        throw error;
      }
    },
    rpc_locate: (request, call) => ({
      locations: core
        .locate(request.session_id, call.principal.id)
        .map(({ node, epoch }) => ({ node: toNodeInfo(node), epoch })),
    }),
    rpc_report: (request, call) => {
      if (request.reason === '')
        throw invalid('INVALID_ARGUMENT', 'reason', '', 'a reason, for example NODE_UNREACHABLE');
      const report = {
        nodeId: request.node_id,
        incarnation: request.incarnation,
        leaseId: request.lease_id,
        reason:
          request.message === '' ? request.reason : `${request.reason} (${clip(request.message)})`,
      };
      core.report(report, call.principal.id);
      const { node_id: node, incarnation, reason } = request;
      audit.record('node_reported', { ...callerOf(call), node, incarnation, reason });
      return {};
    },
  };
}
