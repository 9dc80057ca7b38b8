/** One call of a function, as models write it. */
import { itemTexts, memberTexts } from './json-text';
import type { Offered } from './offer';

/** A call that was found in an answer. */
export interface FoundCall {
  readonly name: string;
  /** JSON, as the model wrote it. */
  readonly arguments: string;
}

/** What an answer says, in order. */
export type Said =
  | { readonly kind: 'content'; readonly text: string }
  | { readonly kind: 'call'; readonly call: FoundCall };

/**
 * A call from `{"name", "arguments"}` or `{"name", "parameters"}`; undefined where the text is none of a function that
 * was offered.
 *
 * @param bare whether arguments may be missing: there are none then
 */
export function callOf(text: string, offered: Offered, bare: boolean): FoundCall | undefined {
  if (!text.startsWith('{') || parsed(text) === undefined) return undefined;
  const members = memberTexts(text);
  const name = parsed(members.get('name') ?? '');
  if (typeof name !== 'string' || !offered.has(name)) return undefined;
  const given = members.get('arguments') ?? members.get('parameters') ?? (bare ? '{}' : '');
  const written = argumentsOf(given);
  return written === undefined ? undefined : { name, arguments: written };
}

/** All calls of a list; undefined where one of its items is none, or it has none. */
export function callsOf(text: string, offered: Offered): FoundCall[] | undefined {
  if (!text.startsWith('[') || parsed(text) === undefined) return undefined;
  const calls: FoundCall[] = [];
  for (const item of itemTexts(text)) {
    const call = callOf(item, offered, true);
    if (call === undefined) return undefined;
    calls.push(call);
  }
  return calls.length === 0 ? undefined : calls;
}

/** An object; some models write it as a text that holds one. */
function argumentsOf(text: string): string | undefined {
  const value = parsed(text);
  const inner = typeof value === 'string' ? value.trim() : text;
  return inner.startsWith('{') && parsed(inner) !== undefined ? inner : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
