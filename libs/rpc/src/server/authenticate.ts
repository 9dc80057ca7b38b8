import { Metadata } from '@grpc/grpc-js';
import { CabstandError, invalid } from '@cabstand/core';
import type { LoopTurns } from '@cabstand/core';
import type { Authorizer, IncomingRequest } from '../contract';
import { checkBound } from './bound';
import type { ActiveCall, SurfaceCall } from './call';
import type { HeldRefusals } from './held-refusals';
import type { OpenCalls } from './open-calls';
import type { Admit } from './options';
import type { Strangers } from './strangers';

const OPEN_PRINCIPAL = { id: 'anonymous', roles: new Set<never>() };

/** How the calls of a service are let in. */
export interface Gate {
  readonly authorizer: Authorizer;
  /** Connections take turns in beginning calls. */
  readonly turns: LoopTurns;
  /** Bounds what callers cost who prove nothing. */
  readonly strangers: Strangers;
  /** Services open to everybody ask for no credentials, and prove the server all the same. */
  readonly open: boolean;
  /** Credentials count only over a connection whose certificate names their principal. */
  readonly bound: boolean;
  readonly calls: OpenCalls;
  /** Refusals of principals that have too many calls open. */
  readonly held: HeldRefusals;
  readonly admit: Admit | undefined;
  readonly maxMetadataBytes: number;
}

/** Establishes who calls, before anything of the call is parsed or handled, and proves the server. */
export async function authenticate(
  gate: Gate,
  call: SurfaceCall,
  active: ActiveCall,
  body: Uint8Array | undefined,
): Promise<void> {
  const { authorizer, admit } = gate;
  const leave = gate.calls.enter();
  active.onEnd(leave);
  await gate.turns.enter(active.peer);
  checkSize(active.metadata, gate.maxMetadataBytes);
  const request: IncomingRequest = {
    method: active.info.path,
    metadata: active.metadata,
    body,
    peer: active.peer,
    onTrust: (recheck) => active.rechecks.push(recheck),
  };
  active.principal = gate.open
    ? OPEN_PRINCIPAL
    : await gate.strangers.check(active.peer, () =>
        guarded(() => authorizer.validateRequest(request)),
      );
  if (gate.bound) checkBound(call, active.principal);
  // Whoever needs no credentials is one among all.
  if (!gate.open) {
    await enterAs(gate, active, leave);
    active.letIn();
  }
  // A caller that checks servers checks all their answers: an unsigned one would look like a failure.
  const headers = await guarded(() => authorizer.signResponse(request));
  if (!active.over) call.sendMetadata(toMetadata(headers));
  const { info, principal, peer } = active;
  const release = admit?.({ info, principal, peer });
  if (release !== undefined) active.onEnd(release);
}

/** Counts a call in as one of its principal. What is refused holds no place of others while it waits. */
async function enterAs(
  { calls, held }: Gate,
  active: ActiveCall,
  leave: () => void,
): Promise<void> {
  const { id } = active.principal;
  try {
    active.onEnd(calls.enterAs(id));
  } catch (error) {
    leave();
    await held.hold(id, CabstandError.from(error), active.signal);
  }
}

// Whatever goes wrong while somebody is being authenticated, they are not authenticated.
async function guarded<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    if (CabstandError.is(thrown) && thrown.code !== 'INTERNAL') throw thrown;
    throw new CabstandError('UNAUTHENTICATED', 'the credentials could not be checked', {
      cause: thrown,
    });
  }
}

// Node takes up to 128 headers of 64 KiB each.
function checkSize(metadata: Metadata, limit: number): void {
  let bytes = 0;
  const headers = metadata.toHttp2Headers();
  for (const name in headers) {
    const value = headers[name];
    bytes += name.length;
    if (Array.isArray(value)) for (const one of value) bytes += one.length;
    else bytes += String(value).length;
  }
  if (bytes > limit)
    throw invalid('LIMIT_EXCEEDED', 'headers', `${bytes} bytes`, `at most ${limit} bytes`);
}

function toMetadata(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
