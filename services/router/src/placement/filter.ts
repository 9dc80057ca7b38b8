import { invalid } from '@cabstand/core';
import { checkDigest, checkModelName } from '../registry/validate';
import type { Slot } from '../registry/node';

/** A node, and optionally one process of it. */
export interface NodeRef {
  readonly nodeId: string;
  /** Empty: any incarnation. */
  readonly incarnation: string;
}

/** What a caller wants a slot for. */
export interface Wanted {
  readonly model: string;
  /** Empty: any. */
  readonly digest: string;
  readonly exclude: readonly NodeRef[];
  /** If not empty, only these. */
  readonly allow: readonly string[];
  readonly block: readonly string[];
  /** May use the slots that nodes keep for resuming sessions. */
  readonly resume: boolean;
}

/** The lists of a call, made ready for asking. */
export interface NodeFilter {
  passes(slot: Slot): boolean;
  /** Node ids that may fail to pass; undefined where only `allow` may pass. */
  readonly rejectable: readonly string[];
  readonly allow: ReadonlySet<string> | undefined;
}

const NOTHING: NodeFilter = { passes: () => true, rejectable: [], allow: undefined };

/** Throws INVALID_ARGUMENT or LIMIT_EXCEEDED naming the field. */
export function checkWanted(wanted: Wanted, maxListLength: number): void {
  checkModelName(wanted.model);
  checkDigest(wanted.digest);
  for (const list of ['exclude', 'allow', 'block'] as const)
    if (wanted[list].length > maxListLength)
      throw invalid(
        'LIMIT_EXCEEDED',
        list,
        wanted[list].length,
        `at most ${maxListLength} entries`,
      );
}

export function filterOf(wanted: Wanted): NodeFilter {
  const { exclude, allow, block } = wanted;
  if (exclude.length + allow.length + block.length === 0) return NOTHING;
  const blocked = new Set(block);
  const excluded = new Map<string, Set<string>>();
  for (const { nodeId, incarnation } of exclude) {
    if (incarnation === '') blocked.add(nodeId);
    else excluded.set(nodeId, (excluded.get(nodeId) ?? new Set()).add(incarnation));
  }
  const allowed = allow.length > 0 ? new Set(allow) : undefined;
  return {
    passes: ({ node }) =>
      !blocked.has(node.id) &&
      excluded.get(node.id)?.has(node.incarnation) !== true &&
      allowed?.has(node.id) !== false,
    rejectable: [...new Set([...blocked, ...excluded.keys()])],
    allow: allowed,
  };
}
