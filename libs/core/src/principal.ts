/**
 * What a caller may do.
 * - `client`: open sessions.
 * - `hoster`: register with a router.
 * - `router`: probe hosters.
 * - `gateway`: speak for others, as what a client may do.
 * - `admin`: drain nodes, load and unload models.
 */
export type Role = 'client' | 'hoster' | 'router' | 'gateway' | 'admin';

export const ROLES: readonly Role[] = ['client', 'hoster', 'router', 'gateway', 'admin'];

/** Who a caller proved to be. Sessions belong to the principal that opened them. */
export interface Principal {
  readonly id: string;
  readonly roles: ReadonlySet<Role>;
  /** Highest priority it may use, 0 to 9, where its key says so. */
  readonly maxPriority?: number;
  /** The principal whose key vouches for it, where a gateway speaks for somebody. */
  readonly via?: string;
}
