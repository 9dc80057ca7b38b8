/** What tells kinds of models apart, in one place: a row for each. */
import type { ModelProgram, Source } from './program';
import type { ModelKind, ModelSignature } from './signature';

interface KindRow {
  /** What graph inputs may be fed from. */
  readonly sources: readonly Source['from'][];
  /** Graphs may run other than per step. */
  readonly runs: readonly ('once' | 'per-item' | 'per-step')[];
  /** Exactly one graph, which runs once a turn on rows as they were sent. */
  readonly oneGraph: boolean;
  /** Steps keep state; long inputs may be cut into frames and come live. A module's manifest says so itself. */
  readonly takesLiveInput: boolean;
  /** Text in, tokens out: scores choose the next token. */
  readonly generates: boolean;
  /** The first token follows from the prompt, which has one at least. */
  readonly readsPrompt: boolean;
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
    readsPrompt: false,
    snapshotId: 1,
  },
  stateful: {
    sources: ['input', 'frame', 'state', 'parameter', 'constant'],
    runs: ['once', 'per-step'],
    oneGraph: false,
    takesLiveInput: true,
    generates: false,
    readsPrompt: false,
    snapshotId: 2,
  },
  generator: {
    sources: ['input', 'item', 'token', 'state', 'parameter', 'constant'],
    runs: ['once', 'per-item', 'per-step'],
    oneGraph: false,
    takesLiveInput: false,
    generates: true,
    readsPrompt: false,
    snapshotId: 3,
  },
  'language-model': {
    sources: [],
    runs: [],
    oneGraph: false,
    takesLiveInput: false,
    generates: true,
    readsPrompt: true,
    snapshotId: 5,
  },
  // Its author's code runs in the place of graphs.
  module: {
    sources: [],
    runs: [],
    oneGraph: false,
    takesLiveInput: true,
    generates: false,
    readsPrompt: false,
    snapshotId: 4,
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

/** Whether records may hold text. What a module's code writes nobody knows. */
export function givesText({
  kind,
  text,
  takesPrompt,
  writesText = false,
}: Pick<ModelSignature, 'kind' | 'text' | 'takesPrompt' | 'writesText'>): boolean {
  return writesText || text.output !== undefined || (kind === 'language-model' && takesPrompt);
}

/** Whether it is fed as exporters of transformers write models, and not as a manifest binds graphs. */
export function isExported(
  program: Pick<ModelProgram, 'languageModel' | 'encoderDecoder' | 'textModel'>,
): boolean {
  const { languageModel, encoderDecoder, textModel } = program;
  return [languageModel, encoderDecoder, textModel].some((one) => one !== undefined);
}

/** Whether a prompt stands for the input with text: a module has it beside its inputs. */
export function readsText({
  kind,
  takesPrompt,
}: Pick<ModelSignature, 'kind' | 'takesPrompt'>): boolean {
  return KINDS[kind].generates || (kind === 'stateless' && takesPrompt);
}
