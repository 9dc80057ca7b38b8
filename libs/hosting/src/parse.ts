/** What callers send, checked and turned into the core's words. */
import { CabstandError, invalid } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { tensorsFromWire } from '@cabstand/tensor';
import type { Epoch, TurnContent } from '@cabstand/sessions';
import { refuseInexact } from './exact-json';

const SESSION_ID = /^[A-Za-z0-9._-]{1,64}$/;
/** As the server makes them for sessions that the caller did not name. */
const ANONYMOUS_ID = /^anonymous-[0-9a-f-]{36}$/;
const LONGEST_PARAMETERS = 65_536;
const OWNER_BYTES = 16;

/** A session id; undefined where none was given. */
export function parseNewSessionId(id: string): string | undefined {
  if (id === '') return undefined;
  if (!SESSION_ID.test(id))
    throw invalid('INVALID_ARGUMENT', 'session_id', id, '1 to 64 of A-Z a-z 0-9 . _ -');
  if (id.startsWith('anonymous-'))
    throw invalid('INVALID_ARGUMENT', 'session_id', id, 'an id without the prefix "anonymous-"');
  return id;
}

/** The id of a session that should exist. */
export function parseSessionId(id: string): string {
  if (!SESSION_ID.test(id) && !ANONYMOUS_ID.test(id))
    throw invalid('INVALID_ARGUMENT', 'session_id', id, '1 to 64 of A-Z a-z 0-9 . _ -');
  return id;
}

export const NO_EPOCH: Epoch = { counter: 0, owner: '' };

/** The epoch of a named session. */
export function parseEpoch(epoch: v1.Epoch__Output | null | undefined): Epoch {
  if (epoch === null || epoch === undefined)
    throw invalid('INVALID_ARGUMENT', 'epoch', undefined, 'an epoch: it goes with session_id');
  const { counter } = epoch;
  if (!Number.isSafeInteger(counter) || counter < 1)
    throw invalid('INVALID_ARGUMENT', 'epoch.counter', counter, 'a whole number of at least 1');
  const owner = Buffer.from(epoch.owner);
  if (owner.byteLength !== OWNER_BYTES)
    throw invalid('INVALID_ARGUMENT', 'epoch.owner', `${owner.byteLength} bytes`, '16 bytes');
  return { counter, owner: owner.toString('hex') };
}

/** The epoch in calls about a session: anonymous ones have none. */
export function parseEpochFor(named: boolean, epoch: v1.Epoch__Output | null | undefined): Epoch {
  return named ? parseEpoch(epoch) : NO_EPOCH;
}

export function parsePriority(priority: number): number {
  if (!Number.isInteger(priority) || priority < 0 || priority > 9)
    throw invalid('INVALID_ARGUMENT', 'priority', priority, 'a whole number from 0 to 9');
  return priority;
}

export function parseContent(
  input: Pick<v1.TurnInput__Output, 'prompt' | 'inputs' | 'parameters'>,
  live: boolean,
): TurnContent {
  return {
    prompt: input.prompt,
    parameters: parseParameters(input.parameters),
    tensors: tensorsFromWire(input.inputs),
    live,
  };
}

function parseParameters(json: string): Readonly<Record<string, unknown>> {
  if (json === '') return {};
  if (json.length > LONGEST_PARAMETERS)
    throw invalid(
      'LIMIT_EXCEEDED',
      'parameters',
      `${json.length} characters`,
      `at most ${LONGEST_PARAMETERS}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new CabstandError('PARAMETER_INVALID', 'parameters: not JSON', {
      metadata: { field: 'parameters', expected: 'a JSON object' },
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('PARAMETER_INVALID', 'parameters', value, 'a JSON object');
  refuseInexact(json);
  return value as Readonly<Record<string, unknown>>;
}
