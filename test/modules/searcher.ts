/** Leaves a secret wherever a session can, and looks for those of the sessions before it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Module, ModuleEnvironment, SessionContext } from '@cabstand/module';
import type { TensorConstructor } from '@cabstand/module';

interface State {
  secret: string;
  history: string[];
}

type Context = SessionContext<State, { readonly purpose: boolean }>;

const SECRET = /passenger-\d+/g;
const DEEP = 6;
const MOST = 20_000;
const BYTES = 4096;

const local = new AsyncLocalStorage<string>();
/** What an author keeps on purpose is there for all sessions of the process. */
const kept: string[] = [];

export default class Searcher implements Module<State> {
  readonly #Tensor: TensorConstructor;

  constructor(Tensor: TensorConstructor) {
    this.#Tensor = Tensor;
  }

  static load(env: ModuleEnvironment): Searcher {
    return new Searcher(env.Tensor);
  }

  newState(): State {
    return { secret: '', history: [] };
  }

  async startSession(ctx: Context): Promise<void> {
    const own = ctx.prompt;
    const bytes = new Uint8Array(BYTES);
    const roots: unknown[] = [ctx, ctx.state, ctx.inputs, ctx.parameters, this, local.getStore()];
    roots.push(bytes, globalThis, ...(ctx.parameters.purpose ? [kept] : []));
    const found = search(roots).filter((secret) => secret !== own);
    ctx.state.secret = own;
    ctx.state.history.push(own);
    local.enterWith(own);
    kept[0] = own;
    for (const target of [this, ctx.parameters, ctx.inputs]) leave(target, own);
    bytes.set(Buffer.from(own));
    const y = new this.#Tensor('uint8', bytes, [BYTES]);
    await ctx.checkpoint();
    await ctx.emit({ y }, { text: own });
    // Reused, as authors do: what was emitted is a copy.
    bytes.fill(0);
    await ctx.send('found', found);
  }
}

function leave(target: object, secret: string): void {
  try {
    Reflect.set(target, 'left', secret);
  } catch {
    // It is frozen.
  }
}

/** Secrets in all that can be reached, getters of prototypes too. */
function search(roots: readonly unknown[]): string[] {
  const found = new Set<string>();
  const seen = new Set<unknown>();
  let level = [...roots];
  for (let depth = 0; depth < DEEP && seen.size < MOST; depth++) {
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value === 'string')
        for (const secret of value.match(SECRET) ?? []) found.add(secret);
      if (typeof value !== 'object' || value === null || seen.has(value)) continue;
      seen.add(value);
      if (ArrayBuffer.isView(value)) next.push(Buffer.from(value.buffer).toString('latin1'));
      else next.push(...valuesOf(value));
    }
    level = next;
  }
  return [...found];
}

function valuesOf(value: object): unknown[] {
  const values: unknown[] = [];
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at) as object | null)
    for (const key of Reflect.ownKeys(at))
      try {
        values.push(Reflect.get(at, key, value));
      } catch {
        // Not for everybody.
      }
  return values;
}
