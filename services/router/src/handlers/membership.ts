import { toDuration } from '@cabstand/rpc';
import { audited } from '@cabstand/service';
import { clip } from '../registry/validate';
import { fromRegister, fromTimestamp, toNodeDetail, toTimestamp } from './convert';
import type { RouterHandlers, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';

/** A hoster's clock that is off by more than this is worth a line in the log. */
const CLOCK_OFF_MS = 5000;

/** Hosters that come and go, and the wish that they go. */
export function membershipHandlers(
  context: HandlerContext,
): Pick<Required<RouterHandlers>, 'rpc_register' | 'rpc_deregister' | 'rpc_drain'> {
  const { core, clock, audit } = context;
  return {
    rpc_register: async (request, call) => {
      const node = await core.admit(fromRegister(request), call.principal.id);
      const theirs = fromTimestamp(request.clock);
      const off = theirs === undefined ? 0 : theirs - clock.now();
      if (Math.abs(off) > CLOCK_OFF_MS)
        context.warn('the clock of a hoster is off', { node: node.id, off_ms: Math.round(off) });
      return {
        node_id: node.id,
        heartbeat_period: toDuration(node.periodMs),
        clock: toTimestamp(clock.now()),
        router_incarnation: core.incarnation,
      };
    },
    rpc_deregister: (request, call) => {
      core.deregister(
        request.node_id,
        request.incarnation,
        call.principal.id,
        request.reason === '' ? 'said goodbye' : clip(request.reason),
      );
      return {};
    },
    rpc_drain: audited(
      audit,
      (request: v1.DrainRequest__Output): v1.DrainResponse => {
        const { deadline } = request;
        if (request.undo) return { node: toNodeDetail(core.undrain(request.node_id)) };
        const ms =
          deadline === null
            ? undefined
            : deadline.seconds * 1000 + Math.round(deadline.nanos / 1e6);
        return { node: toNodeDetail(core.drain(request.node_id, ms)) };
      },
      ({ node_id: node, undo }) => ({
        event: undo ? 'node_undrained' : 'node_drained',
        facts: { node },
      }),
    ),
  };
}
