/** What serves, in memory: a model that adds up what it is given, and one that says what it is told. */
import { CabstandError, abortReason } from '@cabstand/core';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type {
  Caller,
  ModelFacts,
  ServedRecord,
  ServedSession,
  Serving,
  SessionAsk,
  TurnAsk,
  TurnInput,
} from './serving';

const facts = (name: string, more: Partial<ModelFacts>): ModelFacts => ({
  ...{ name, version: '3', digest: `sha256:${name}`, kind: 'stateful', description: '' },
  ...{ state: 'ready', failure: '', provider: 'cpu', parameters: [], capacity: 8 },
  ...{ inputs: [], outputs: [], takesPrompt: false, givesText: false, takesLiveInput: false },
  ...more,
});

const spec = (name: string, dtype: Tensor['dtype'], shape: readonly number[]) => ({
  ...{ name, dtype, shape, description: '', labels: [] },
});

const MODELS: readonly ModelFacts[] = [
  /** A chunk for each number: the sum of all that the session was given, and of this turn. */
  facts('sums', {
    inputs: [spec('x', 'float32', [-1])],
    outputs: [spec('sum', 'float32', [1]), spec('own', 'float32', [1])],
  }),
  /** A chunk for each word of its prompt. */
  facts('words', { kind: 'generator', takesPrompt: true, givesText: true }),
  /** Gives back what it got. */
  facts('same', { kind: 'stateless', inputs: [], outputs: [spec('x', 'float32', [-1])] }),
  facts('broken', { state: 'failed', failure: 'no weights' }),
];

export class MemorySession implements ServedSession {
  readonly id: string;
  readonly model: ModelFacts;
  ended = false;
  /** Turns that were left before their end. */
  cancelled = 0;
  #sum = 0;
  #position = 0;

  constructor(
    model: ModelFacts,
    readonly caller: Caller,
    key: string,
  ) {
    this.model = model;
    this.id = key;
  }

  async *run(input: TurnInput, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    if (this.ended) throw new CabstandError('SESSION_ENDED', 'the session has ended');
    let index = 0;
    let over = false;
    try {
      for (const { tensors, text } of this.#chunks(input)) {
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) throw abortReason(signal);
        yield { kind: 'chunk', position: this.#position++, index: index++, text, tensors };
      }
      over = true;
      const end = {
        reason: 'completed',
        steps: index,
        note: index === 0 ? 'too short' : '',
      } as const;
      yield { kind: 'end', position: this.#position++, ...end };
    } finally {
      if (!over) this.cancelled++;
    }
  }

  runLive(): AsyncIterable<ServedRecord> {
    throw new Error('not in this fixture');
  }

  command(): Promise<unknown> {
    return Promise.reject(new Error('not in this fixture'));
  }

  close(): Promise<void> {
    this.ended = true;
    return Promise.resolve();
  }

  *#chunks({
    prompt,
    tensors,
    parameters,
  }: TurnInput): Generator<{ tensors: Tensor[]; text: string }> {
    if (this.model.name === 'same') yield { tensors: [...tensors], text: '' };
    if (this.model.name === 'words')
      for (const text of prompt.split(/(?<= )/)) yield { tensors: [], text };
    if (this.model.name !== 'sums') return;
    const [x] = tensors;
    if (x === undefined) throw new CabstandError('INPUT_MISSING', 'input x is missing');
    let own = 0;
    for (const value of float32Of(x)) {
      this.#sum += value * Number(parameters['scale'] ?? 1);
      own += value;
      yield {
        tensors: [
          tensorOf('sum', new Float32Array([this.#sum])),
          tensorOf('own', new Float32Array([own])),
        ],
        text: '',
      };
    }
  }
}

export class MemoryServing implements Serving {
  readonly version = '0.0.1';
  readonly sessions: MemorySession[] = [];
  readonly asked: (TurnAsk | SessionAsk)[] = [];
  /** Thrown by whatever is opened. */
  refusal: CabstandError | undefined;

  /** Sessions that go on. */
  get open(): MemorySession[] {
    return this.sessions.filter(({ ended }) => !ended);
  }

  ready(): boolean {
    return true;
  }

  models(): Promise<readonly ModelFacts[]> {
    return Promise.resolve(MODELS);
  }

  model(name: string, version: string | undefined): Promise<ModelFacts> {
    const found = MODELS.find((model) => model.name === name);
    return found === undefined || (version !== undefined && version !== found.version)
      ? Promise.reject(new CabstandError('MODEL_UNKNOWN', `there is no model "${name}" here`))
      : Promise.resolve(found);
  }

  async *runTurn(ask: TurnAsk, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    const session = await this.#opened(ask, '');
    try {
      yield* session.run(ask.input, signal);
    } finally {
      await session.close();
    }
  }

  async session(ask: SessionAsk): Promise<ServedSession> {
    const { key = '', caller, how } = ask;
    const mine = ({ id, caller: { principal } }: MemorySession): boolean =>
      id === key && principal.id === caller.principal.id;
    if (how === 'new') return await this.#opened(ask, key);
    const found = this.open.find(mine);
    if (found === undefined) throw new CabstandError('SESSION_UNKNOWN', `no session ${key}`);
    return found;
  }

  async #opened(ask: TurnAsk | SessionAsk, key: string): Promise<MemorySession> {
    this.asked.push(ask);
    if (this.refusal !== undefined) throw this.refusal;
    const session = new MemorySession(await this.model(ask.model, ask.version), ask.caller, key);
    this.sessions.push(session);
    return session;
  }
}
