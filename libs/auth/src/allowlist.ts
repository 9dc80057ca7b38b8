import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Authorizer, IncomingRequest } from '@cabstand/rpc';
import { DEFAULT_PERMISSIONS, checkPermission } from './permissions';
import type { Permissions } from './permissions';
import { AuthorizerWrapper } from './wrapper';

export interface AllowlistOptions {
  /** If given, only these principals get in. Default: all that prove who they are. */
  readonly principals?: readonly string[];
  /** Which roles may call what. Default: {@link DEFAULT_PERMISSIONS}. */
  readonly permissions?: Permissions;
}

/** Lets listed principals call what their roles permit, and denies the rest. */
export class AllowlistAuthorizer extends AuthorizerWrapper {
  readonly #principals: ReadonlySet<string> | undefined;
  readonly #permissions: Permissions;

  constructor(inner: Authorizer, options: AllowlistOptions = {}) {
    super(inner);
    this.#principals = options.principals === undefined ? undefined : new Set(options.principals);
    this.#permissions = options.permissions ?? DEFAULT_PERMISSIONS;
  }

  protected override admit(principal: Principal, request: IncomingRequest): void {
    if (this.#principals?.has(principal.id) === false)
      throw new CabstandError('PERMISSION_DENIED', `${principal.id} is not among those let in`, {
        metadata: { principal: principal.id },
      });
    checkPermission(this.#permissions, principal, request.method);
  }
}
