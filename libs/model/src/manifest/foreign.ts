/** Sections that another kind of model has: who writes one is told where it belongs. */
import { manifestSchema } from './schema';
import { moduleSchema } from './schema-module';

/** What a module has in the place of sections of other kinds. */
const INSTEAD: Readonly<Record<string, string>> = {
  graphs: "its author's file opens its ONNX files with env.createSession",
  dims: "its author's file gives tensors their sizes",
  state: "newState() of its author's file makes the state",
  framing: 'live: true, and callers send input in parts',
  generation: "its author's file chooses what it emits",
  text: 'prompt: true, and ctx.prompt is the text as it was sent',
  batching: "its author's file runs its graphs",
  golden: 'a module is not verified',
};

/** What was expected in the place of a section that the manifest's kind does not have; undefined if none has it. */
export function expectedInstead(section: string, isModule: boolean): string | undefined {
  if (isModule) {
    if (!Object.hasOwn(manifestSchema.shape, section)) return undefined;
    return `no such section for kind module: ${INSTEAD[section] ?? 'it has no use there'}`;
  }
  return Object.hasOwn(moduleSchema.shape, section)
    ? 'no such section: only kind module has it (then say kind: module)'
    : undefined;
}
