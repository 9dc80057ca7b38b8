/** A session without an engine, for tests of modules: as many calls as it is given, and what came of them. */
import type { Commands } from './command';
import type { Log, SessionContext, Tensors } from './context';

/** Modules are given these by the engine. */
export { InferenceSession, Tensor } from 'onnxruntime-node';

export interface Told {
  readonly records: Tensors[];
  readonly messages: { readonly name: string; readonly message: unknown }[];
  /** Copies of the state, one for each checkpoint. */
  readonly states: unknown[];
}

export interface Given<P> {
  readonly parameters: P;
  readonly prompt?: string;
  readonly parts?: readonly Tensors[];
  /** Commands, by the number of the call of `idle` inside which they come. */
  readonly commands?: Readonly<Record<number, readonly [name: string, args: unknown]>>;
  /** Stops at this call of `idle`. Default: never. */
  readonly stopAfter?: number;
}

const QUIET: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export function fakeSession<S, P>(
  state: S,
  given: Given<P>,
  handlers: Commands<S, P> = {},
): Told & { readonly ctx: SessionContext<S, P> } {
  const told: Told = { records: [], messages: [], states: [] };
  const parts = [...(given.parts ?? [])];
  let idles = 0;
  const stopped = (): boolean => idles >= (given.stopAfter ?? Infinity);
  const record = (outputs: Tensors): void => {
    const copies = Object.entries(outputs).map(([name, { type, dims, data }]) => [
      name,
      { type, dims, data: data.slice() },
    ]);
    told.records.push(Object.fromEntries(copies) as Tensors);
  };
  const ctx: SessionContext<S, P> = {
    id: 'test',
    turn: 0,
    parameters: given.parameters,
    prompt: given.prompt ?? '',
    inputs: {},
    state,
    log: QUIET,
    shouldStop: stopped,
    get stopReason() {
      return stopped() ? ('stopped' as const) : undefined;
    },
    signal: new AbortController().signal,
    emit: async (outputs) => record(outputs),
    tryEmit: async (outputs) => {
      record(outputs);
      return true;
    },
    send: async (name, message) => void told.messages.push({ name, message }),
    notify: () => undefined,
    input: async () => parts.shift(),
    idle: async () => {
      const [name, args] = given.commands?.[idles] ?? [];
      idles += 1;
      if (name !== undefined) await handlers[name]?.handle(ctx, args);
      return !stopped();
    },
    checkpoint: async () => void told.states.push(structuredClone(ctx.state)),
    nextTurn: async () => undefined,
    record: async (_name, make) => make(),
    random: () => 0.5,
    progress: () => undefined,
    readers: { consumer: true, viewers: 0 },
  };
  return { ...told, ctx };
}
