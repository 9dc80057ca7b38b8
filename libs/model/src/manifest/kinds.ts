/** What tells kinds of models apart, in one place: a row for each. */
import type { Source } from './program';
import type { ModelKind } from './signature';

interface KindRow {
  /** What graph inputs may be fed from. */
  readonly sources: readonly Source['from'][];
  /** Graphs may run other than per step. */
  readonly runs: readonly ('once' | 'per-item' | 'per-step')[];
  /** Exactly one graph, which runs once a turn on rows as they were sent. */
  readonly oneGraph: boolean;
  /** Steps keep state; long inputs may be cut into frames and come live. */
  readonly takesLiveInput: boolean;
  /** Text in, tokens out: scores choose the next token. */
  readonly generates: boolean;
  /** Number of the kind in snapshots: docs/engine-protocol.md. */
  readonly snapshotId: number;
}

export const KINDS: Readonly<Record<ModelKind, KindRow>> = {
  stateless: {
    sources: ['input', 'parameter', 'constant'],
    runs: ['per-step'],
    oneGraph: true,
    takesLiveInput: false,
    generates: false,
    snapshotId: 1,
  },
  stateful: {
    sources: ['input', 'frame', 'state', 'parameter', 'constant'],
    runs: ['once', 'per-step'],
    oneGraph: false,
    takesLiveInput: true,
    generates: false,
    snapshotId: 2,
  },
  generator: {
    sources: ['input', 'item', 'token', 'state', 'parameter', 'constant'],
    runs: ['once', 'per-item', 'per-step'],
    oneGraph: false,
    takesLiveInput: false,
    generates: true,
    snapshotId: 3,
  },
};

/** What the sections of a manifest say that it is. */
export function kindOf(written: {
  readonly kind?: ModelKind | undefined;
  readonly generation?: object | undefined;
  readonly framing?: object | undefined;
  readonly state: object;
}): ModelKind {
  if (written.kind !== undefined) return written.kind;
  if (written.generation !== undefined) return 'generator';
  const keepsState = written.framing !== undefined || Object.keys(written.state).length > 0;
  return keepsState ? 'stateful' : 'stateless';
}
