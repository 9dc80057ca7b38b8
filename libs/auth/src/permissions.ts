import { CabstandError, ROLES } from '@cabstand/core';
import type { Principal, Role } from '@cabstand/core';

/**
 * Which roles may call a method: full path → roles, or `/package.Service/*` for all methods of a
 * service. `admin` may call every method that is listed. What is not listed nobody may call.
 */
export type Permissions = Readonly<Record<string, readonly Role[]>>;

const CLIENT: readonly Role[] = ['client'];
const HOSTER: readonly Role[] = ['hoster'];
const ADMIN: readonly Role[] = ['admin'];
/** What a gateway asks for itself; everything else it asks for whoever it speaks for. */
const SUBNET: readonly Role[] = ['client', 'gateway'];
const router = (method: string): string => `/cabstand.v1.RouterService/${method}`;
const hoster = (method: string): string => `/cabstand.v1.HosterService/${method}`;

export const DEFAULT_PERMISSIONS: Permissions = {
  [router('rpc_register')]: HOSTER,
  [router('rpc_heartbeat')]: HOSTER,
  [router('rpc_deregister')]: HOSTER,
  [router('rpc_acquire')]: CLIENT,
  [router('rpc_watch_nodes')]: SUBNET,
  [router('rpc_locate')]: CLIENT,
  [router('rpc_report')]: SUBNET,
  [router('rpc_drain')]: ADMIN,

  [hoster('rpc_info')]: ['client', 'router', 'gateway'],
  [hoster('rpc_inference_stream')]: CLIENT,
  [hoster('rpc_session_stream')]: CLIENT,
  [hoster('rpc_session_update')]: CLIENT,
  [hoster('rpc_session_status')]: CLIENT,
  [hoster('rpc_share_session')]: CLIENT,
  [hoster('rpc_close_session')]: CLIENT,
  [hoster('rpc_load_model')]: ADMIN,
  [hoster('rpc_unload_model')]: ADMIN,

  '/inference.GRPCInferenceService/*': CLIENT,
  '/inference.GRPCInferenceService/RepositoryModelLoad': ADMIN,
  '/inference.GRPCInferenceService/RepositoryModelUnload': ADMIN,
  '/grpc.health.v1.Health/*': ROLES,
  '/grpc.reflection.v1.ServerReflection/*': ROLES,
  '/grpc.reflection.v1alpha.ServerReflection/*': ROLES,
};

/** The roles of which a caller needs one; undefined for a method that is not listed. */
export function rolesFor(permissions: Permissions, method: string): readonly Role[] | undefined {
  if (Object.hasOwn(permissions, method)) return permissions[method];
  const service = `${method.slice(0, method.lastIndexOf('/'))}/*`;
  return Object.hasOwn(permissions, service) ? permissions[service] : undefined;
}

/** Throws PERMISSION_DENIED, saying which role is missing. */
export function checkPermission(
  permissions: Permissions,
  principal: Principal,
  method: string,
): void {
  const roles = rolesFor(permissions, method);
  if (roles === undefined)
    throw new CabstandError('PERMISSION_DENIED', `nobody may call ${method}: it is not listed`, {
      metadata: { method, principal: principal.id },
    });
  if (principal.roles.has('admin') || roles.some((role) => principal.roles.has(role))) return;
  const needed = [...new Set([...roles, 'admin'])].join(' or ');
  throw new CabstandError(
    'PERMISSION_DENIED',
    `${principal.id} may not call ${method}: it needs the role ${needed}`,
    { metadata: { method, principal: principal.id, needed } },
  );
}
