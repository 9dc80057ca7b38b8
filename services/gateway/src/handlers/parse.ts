/** What callers send, checked. What only a hoster can check, it does. */
import { invalid } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { TurnInput } from '@cabstand/client/protocol';
import type { v1 } from '@cabstand/rpc';
import { tensorsFromWire } from '@cabstand/tensor';

export const SESSION_ID = /^[A-Za-z0-9._-]{1,64}$/;
const LONGEST_PARAMETERS = 65_536;
export const HIGHEST_PRIORITY = 9;

/** A session's name; undefined where none was given. */
export function parseSessionId(id: string): string | undefined {
  if (id === '') return undefined;
  if (SESSION_ID.test(id)) return id;
  throw invalid('INVALID_ARGUMENT', 'session_id', id, '1 to 64 of A-Z a-z 0-9 . _ -');
}

export function parseExistingId(id: string): string {
  const parsed = parseSessionId(id);
  if (parsed !== undefined) return parsed;
  throw invalid('INVALID_ARGUMENT', 'session_id', id, '1 to 64 of A-Z a-z 0-9 . _ -');
}

/** The counter of an epoch: callers of a gateway need not have one. 0 where they do not. */
export function parseEpoch(epoch: v1.Epoch__Output | null | undefined): number {
  const counter = epoch?.counter ?? 0;
  if (Number.isSafeInteger(counter) && counter >= 0) return counter;
  throw invalid('INVALID_ARGUMENT', 'epoch.counter', counter, 'a whole number of at least 1');
}

/** As `from_position` of an attach: whatever is the oldest record that is kept. */
const OLDEST = -1;

/** Where a caller wants to go on; undefined for the oldest record that is kept. Throws POSITION_INVALID. */
export function parseAttachFrom(from: number): number | undefined {
  return from === OLDEST ? undefined : parseFrom(from, 'a position, or -1 for the oldest record');
}

/** Throws POSITION_INVALID. */
export function parseFrom(from: number, expected: string): number {
  if (Number.isSafeInteger(from) && from >= 0) return from;
  throw invalid('POSITION_INVALID', 'from_position', from, expected);
}

/** The priority that the caller may use here: hosters bound it again. */
export function parsePriority(priority: number, { maxPriority }: Principal): number {
  if (!Number.isInteger(priority) || priority < 0 || priority > HIGHEST_PRIORITY)
    throw invalid('INVALID_ARGUMENT', 'priority', priority, 'a whole number from 0 to 9');
  return Math.min(priority, maxPriority ?? HIGHEST_PRIORITY);
}

export function parseInput(
  input: Pick<v1.TurnInput__Output, 'prompt' | 'inputs' | 'parameters'>,
): TurnInput {
  const { prompt, parameters, inputs } = input;
  return { prompt, parameters: boundedParameters(parameters), tensors: tensorsFromWire(inputs) };
}

/** Parameters as JSON text, which hosters take; empty for none. Throws LIMIT_EXCEEDED. */
export function parametersText(parameters: Readonly<Record<string, unknown>>): string {
  return boundedParameters(Object.keys(parameters).length === 0 ? '' : JSON.stringify(parameters));
}

function boundedParameters(text: string): string {
  if (text.length <= LONGEST_PARAMETERS) return text;
  throw invalid(
    'LIMIT_EXCEEDED',
    'parameters',
    `${text.length} characters`,
    `at most ${LONGEST_PARAMETERS}`,
  );
}
