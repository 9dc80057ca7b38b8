/** What `node:http2` keeps of streams that have ended, and how a server makes that little. */
import { types } from 'node:util';

/** Versions of Node whose `internal/http2/core` was read and tried: elsewhere nothing is changed. */
const KNOWN_VERSIONS: ReadonlySet<string> = new Set(['20', '22', '24']);

interface Box<V> {
  value: V | undefined;
}

/**
 * A map of which nothing that was deleted is reachable, not even from what V8 has dropped of the map itself. V8 deletes
 * from a `Map` by marks, and now and then moves what is left to a new table. The old table still has what it had, and
 * points to the new one. Once a full collection has moved a table to V8's old generation, young collections take it for
 * alive, whether it is or not, and so all tables after it and all that was in these. Here a table has boxes, and that of a
 * deleted value is empty.
 */
export class SheddingMap<K, V extends object> implements Map<K, V> {
  readonly #boxes = new Map<K, Box<V>>();

  constructor(entries: Iterable<readonly [K, V]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#boxes.size;
  }

  get(key: K): V | undefined {
    return this.#boxes.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#boxes.has(key);
  }

  set(key: K, value: V): this {
    const box = this.#boxes.get(key);
    if (box === undefined) this.#boxes.set(key, { value });
    else box.value = value;
    return this;
  }

  delete(key: K): boolean {
    const box = this.#boxes.get(key);
    if (box === undefined) return false;
    box.value = undefined;
    return this.#boxes.delete(key);
  }

  clear(): void {
    for (const key of this.#boxes.keys()) this.delete(key);
  }

  forEach(each: (value: V, key: K, map: Map<K, V>) => void, self?: unknown): void {
    for (const [key, value] of this.entries()) each.call(self, value, key, this);
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, { value }] of this.#boxes) if (value !== undefined) yield [key, value];
  }

  keys(): MapIterator<K> {
    return this.#boxes.keys();
  }

  *values(): MapIterator<V> {
    for (const { value } of this.#boxes.values()) if (value !== undefined) yield value;
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  get [Symbol.toStringTag](): string {
    return 'Map';
  }
}

/** What a session of `node:http2` knows of itself, as far as it matters here. */
interface SessionState {
  streams?: unknown;
}

/**
 * Gives a session's table of open streams a form that lets ended ones go (`internal/http2/core`, `session[kState].streams`):
 * what a caller has sent and been answered hangs on its stream. True if it was done, or had been.
 */
export function shedStreams(session: object): boolean {
  if (!KNOWN_VERSIONS.has(process.versions.node.split('.')[0] ?? '')) return false;
  const key = Object.getOwnPropertySymbols(session).find(
    ({ description }) => description === 'state',
  );
  const state =
    key === undefined ? undefined : (session as Record<symbol, SessionState | undefined>)[key];
  if (state?.streams instanceof SheddingMap) return true;
  // One of Node's own, with a prototype of its own.
  if (!types.isMap(state?.streams)) return false;
  state.streams = new SheddingMap(state.streams as Map<number, object>);
  return true;
}
