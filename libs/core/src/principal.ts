/**
 * What a caller may do.
 * - `client`: open sessions.
 * - `hoster`: register with a router.
 * - `router`: probe hosters.
 * - `admin`: drain nodes, load and unload models.
 */
export type Role = 'client' | 'hoster' | 'router' | 'admin';

export const ROLES: readonly Role[] = ['client', 'hoster', 'router', 'admin'];

/** Who a caller proved to be. Sessions belong to the principal that opened them. */
export interface Principal {
  readonly id: string;
  readonly roles: ReadonlySet<Role>;
  /** Highest priority it may use, 0 to 9, where its key says so. */
  readonly maxPriority?: number;
}
