import { CabstandError } from '@cabstand/core';
import type { Principal, Role } from '@cabstand/core';
import { ceilingOf } from './keys';
import type { PublicKey } from './keys';

const CLIENT: ReadonlySet<Role> = new Set<Role>(['client']);

/**
 * Who a call is from that `key` proved: its own principal, or whom it speaks for. Those whom a gateway names may do
 * what a client may and nothing else, whatever the gateway's other roles are. Throws PERMISSION_DENIED where the
 * key's principal is no gateway.
 */
export function principalOf(key: PublicKey, onBehalfOf: string | undefined): Principal {
  if (onBehalfOf === undefined) return { id: key.principal, roles: key.roles, ...ceilingOf(key) };
  if (!key.roles.has('gateway'))
    throw new CabstandError(
      'PERMISSION_DENIED',
      `${key.principal} may not speak for ${onBehalfOf}: its key lacks the role gateway`,
      { metadata: { principal: key.principal, on_behalf_of: onBehalfOf, needed: 'gateway' } },
    );
  return { id: onBehalfOf, roles: CLIENT, via: key.principal, ...ceilingOf(key) };
}
