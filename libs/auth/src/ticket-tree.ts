/**
 * One signature for tickets that are given at once: of the root of a Merkle tree over them, as
 * https://www.rfc-editor.org/rfc/rfc9162#section-2.1 has it. Each ticket carries its path to the root.
 */
import { hash } from 'node:crypto';

const HASH_BYTES = 32;
/** What leaves and other nodes are hashed with, so that none passes for the other. */
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);
/** Place and number of leaves, a byte each. */
const HEAD_BYTES = 2;
/** Leaves of a tree. */
export const MOST_LEAVES = 64;

export interface Tree {
  readonly root: Buffer;
  /** Of each leaf, in order: what its root is found with. */
  readonly paths: readonly Buffer[];
}

/** @param leaves from 1 to `MOST_LEAVES` */
export function treeOver(leaves: readonly string[]): Tree {
  const paths = leaves.map((_, place): Buffer[] => [Buffer.from([place, leaves.length])]);
  let level = leaves.map(leafHash);
  for (let height = 0; level.length > 1; height++) {
    paths.forEach((path, place) => {
      const sibling = level[(place >> height) ^ 1];
      if (sibling !== undefined) path.push(sibling);
    });
    level = above(level);
  }
  const [root = Buffer.alloc(0)] = level;
  return { root, paths: paths.map((path) => Buffer.concat(path)) };
}

/** The root that a path leads to; undefined where it is none. */
export function rootOf(leaf: string, path: Buffer): Buffer | undefined {
  const [place = 0, leaves = 0] = path;
  if (path.length < HEAD_BYTES || place >= leaves || leaves > MOST_LEAVES) return undefined;
  let node = leafHash(leaf);
  let at = place;
  let last = leaves - 1;
  let next = HEAD_BYTES;
  for (; last > 0; at >>= 1, last >>= 1) {
    // The last one of an odd number has nobody beside it, and goes up as it is.
    if (at === last && at % 2 === 0) continue;
    const sibling = path.subarray(next, (next += HASH_BYTES));
    if (sibling.length < HASH_BYTES) return undefined;
    node = at % 2 === 0 ? nodeHash(node, sibling) : nodeHash(sibling, node);
  }
  return next === path.length ? node : undefined;
}

function above(level: readonly Buffer[]): Buffer[] {
  const next: Buffer[] = [];
  for (let at = 0; at < level.length; at += 2) {
    const [left, right] = level.slice(at, at + 2) as [Buffer, Buffer | undefined];
    next.push(right === undefined ? left : nodeHash(left, right));
  }
  return next;
}

function leafHash(leaf: string): Buffer {
  return hash('sha256', Buffer.concat([LEAF, Buffer.from(leaf)]), 'buffer');
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return hash('sha256', Buffer.concat([NODE, left, right]), 'buffer');
}
