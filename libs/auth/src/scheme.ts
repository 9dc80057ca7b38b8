import type { Metadata } from '@grpc/grpc-js';
import type { Authorizer } from '@cabstand/rpc';

/** An authorizer that knows its own credentials when it sees them. */
export interface SchemeAuthorizer extends Authorizer {
  /** How messages call it, `bearer token`. */
  readonly scheme: string;
  /** Whether the headers carry credentials of this scheme, good or bad. */
  recognizes(metadata: Metadata): boolean;
}

/** The one value of a header; undefined if there is none, several or a binary one. */
export function header(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  const only = values.length === 1 ? values[0] : undefined;
  return typeof only === 'string' ? only : undefined;
}

export function hasHeader(metadata: Metadata, name: string): boolean {
  return metadata.get(name).length > 0;
}
