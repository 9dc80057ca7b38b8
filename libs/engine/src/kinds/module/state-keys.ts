/** Which part of an author's state is no plain data: `v8.serialize` refuses some of it, and keeps too little of other. */
import { serialize } from 'node:v8';

/** A part of the state, and what is wrong with it. */
export interface UnfitPart {
  /** `state.tools.cb`. */
  readonly key: string;
  /** `Function`, `Scene`. */
  readonly what: string;
}

/** A look costs time: what lies further down, or comes after so many, is taken for good. */
const DEEPEST = 12;
const MOST = 2000;

/** Of these everything is kept. */
const WHOLE: ReadonlySet<unknown> = new Set([
  ...[Object, Array, Map, Set, Date, RegExp, Boolean, Number, String, BigInt, ArrayBuffer],
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError],
]);

/** The first part that cannot be serialized; undefined where all of it can. */
export function refusedPart(state: unknown): UnfitPart | undefined {
  return find(
    state,
    (value) => !serializes(value) && partsOf(value).every(([, v]) => serializes(v)),
  );
}

/** The first object of a class of the author's: its fields come back, and nothing else of it. */
export function lossyPart(state: unknown): UnfitPart | undefined {
  return find(state, (value) => {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
    const prototype: unknown = Object.getPrototypeOf(value);
    return prototype !== null && !WHOLE.has((prototype as { constructor: unknown }).constructor);
  });
}

function find(state: unknown, unfit: (value: unknown) => boolean): UnfitPart | undefined {
  const seen = new Set<unknown>();
  const look = (value: unknown, key: string, depth: number): UnfitPart | undefined => {
    if (depth > DEEPEST || seen.size > MOST || seen.has(value)) return undefined;
    if (unfit(value)) return { key, what: nameOf(value) };
    if (typeof value === 'object' && value !== null) seen.add(value);
    for (const [inner, part] of partsOf(value)) {
      const found = look(part, `${key}${inner}`, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return look(state, 'state', 0);
}

function partsOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if (value instanceof Map) return [...value].map(([key, part]) => [`.get(${keyOf(key)})`, part]);
  if (value instanceof Set) return [...value].map((part) => ['.values()', part]);
  return Object.entries(value).map(([key, part]) => [
    Array.isArray(value) ? `[${key}]` : `.${key}`,
    part,
  ]);
}

function keyOf(key: unknown): string {
  if (typeof key === 'string') return JSON.stringify(key);
  return typeof key === 'number' || typeof key === 'boolean' ? String(key) : '…';
}

function serializes(value: unknown): boolean {
  try {
    serialize(value);
    return true;
  } catch {
    return false;
  }
}

function nameOf(value: unknown): string {
  if (typeof value === 'function') return 'function';
  if (typeof value !== 'object' || value === null) return typeof value;
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name: string } } | null;
  return prototype?.constructor?.name ?? 'object';
}
