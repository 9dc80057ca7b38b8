/** What the author's loop is given. See docs/modules.md. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { Tensor } from '@cabstand/tensor';
import { arrayOf } from '@cabstand/tensor';
import type { AuthorLog } from './author-log';
import { authorLog } from './author-log';
import { emit, idle, input, record, send, tryEmit } from './calls';
import type { EmitOptions } from './calls';
import { checkpoint } from './checkpoint';
import type { Outputs } from './emit';
import type { Readers, Stop } from './flags';
import { SessionOver } from './failure';
import { jsonOf } from './limits';
import type { Turn } from './messages';
import { nextTurn } from './next-turn';
import type { Scope } from './scope';
import type { ModuleSession } from './session';

type OrtTensors = Record<string, OrtTensor>;

/** What `ctx` says of the turn from now on. */
interface NextTurn extends Pick<Turn, 'number' | 'prompt' | 'parameters'> {
  readonly inputs: Readonly<OrtTensors>;
}

/** Of the loop, or of one run of a command's handler; both see the same session. */
export class Context {
  readonly #session: ModuleSession;
  readonly #scope: Scope;
  #inputs: { readonly turn: Turn; readonly tensors: Readonly<OrtTensors> } | undefined;
  readonly log: AuthorLog;

  constructor(session: ModuleSession, scope: Scope) {
    this.#session = session;
    this.#scope = scope;
    this.log = authorLog((level, message) => session.host.log(level, message, session.id));
  }

  get id(): string {
    return this.#session.name;
  }

  get turn(): number {
    return this.#session.turn.number;
  }

  get parameters(): Readonly<Record<string, unknown>> {
    return this.#session.turn.parameters;
  }

  get prompt(): string {
    return this.#session.turn.prompt;
  }

  get inputs(): Readonly<OrtTensors> {
    const { turn } = this.#session;
    if (this.#inputs?.turn !== turn) this.#inputs = { turn, tensors: ortTensors(turn.inputs) };
    return this.#inputs.tensors;
  }

  get state(): unknown {
    return this.#session.state;
  }

  set state(state: unknown) {
    this.#session.state = state;
  }

  shouldStop(): boolean {
    this.#session.alive();
    return this.#session.stopped !== undefined || this.#session.lost;
  }

  get stopReason(): Stop | undefined {
    return this.#session.stopped;
  }

  get readers(): Readers {
    return this.#session.readers;
  }

  get signal(): AbortSignal {
    return this.#session.signal;
  }

  emit(outputs: Outputs, options: EmitOptions = {}): Promise<void> {
    return this.#call('emit', () => emit(this.#session, this.#scope, outputs, options));
  }

  tryEmit(outputs: Outputs, options: EmitOptions = {}): Promise<boolean> {
    return this.#call('tryEmit', () => tryEmit(this.#session, this.#scope, outputs, options));
  }

  send(name: string, message: unknown): Promise<void> {
    return this.#call('send', () => send(this.#session, this.#scope, name, message));
  }

  notify(name: string, message: unknown): void {
    const session = this.#session;
    session.check();
    const json = jsonOf(`notice ${name}`, message, session.host.data.limits.messageBytes);
    // Nobody reads, or has read it before.
    if (!session.mayEmit || session.records.replaying || !session.notices.admit()) return;
    session.host.out.notice({ sequence: session.id, turn: session.turn.number, name, json });
    session.host.flush();
  }

  input(options: { latest?: boolean } = {}): Promise<OrtTensors | undefined> {
    return this.#call('input', async () => {
      const part = await input(this.#session, this.#scope, options.latest === true);
      return part === undefined ? undefined : ortTensors(part.inputs);
    });
  }

  idle(milliseconds?: number): Promise<boolean> {
    return this.#call('idle', () => idle(this.#session, this.#scope, milliseconds));
  }

  checkpoint(): Promise<void> {
    const run = (): Promise<void> => checkpoint(this.#session, this.#scope);
    return this.#session.call(this.#scope, 'checkpoint', run, false);
  }

  async nextTurn(): Promise<NextTurn | undefined> {
    const session = this.#session;
    try {
      const run = (): Promise<Turn | undefined> => nextTurn(session, this.#scope);
      const turn = await session.call(this.#scope, 'nextTurn', run, false);
      if (turn === undefined) return undefined;
      const { number, prompt, parameters } = turn;
      return { number, prompt, parameters, inputs: this.inputs };
    } catch (error) {
      if (error instanceof SessionOver && session.closed) return undefined;
      throw error;
    }
  }

  record(name: string, make: () => unknown): Promise<unknown> {
    return this.#call('record', () => record(this.#session, this.#scope, name, make));
  }

  random(): number {
    return this.#session.random.next();
  }

  progress(): void {
    this.#session.alive();
  }

  #call<T>(name: string, run: () => Promise<T>): Promise<T> {
    return this.#session.call(this.#scope, name, run);
  }
}

function ortTensors(tensors: readonly Tensor[]): OrtTensors {
  return Object.fromEntries(
    tensors.map((tensor) => {
      const { name, dtype, shape, strings } = tensor;
      const data = (strings ?? arrayOf(tensor)) as Float32Array;
      return [name, new OrtTensor(dtype, data, shape)];
    }),
  );
}
