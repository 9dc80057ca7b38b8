/** An engine in memory that keeps state, gives snapshots of it, dies when told, and may lag behind. */
import { CabstandError } from '@cabstand/core';
import { codecs } from '@cabstand/rpc';
import type { Tensor } from '@cabstand/tensor';
import type {
  ModelSource,
  ModelStatus,
  Sequence,
  SequenceOptions,
  SequenceSink,
  ServedModel,
  TurnStart,
} from '@cabstand/sessions';
import { INITIAL_STATE, next, outputOf } from './script';

export const MODEL = 'mixer';

/** What checking input against a manifest looks at. */
const MANIFEST = {
  kind: 'stateful',
  parameters: [],
  inputs: [{ name: 'x', dtype: 'uint8', alsoDtypes: [], shape: ['values'] }],
  takesLiveInput: true,
  takesEmpty: true,
  takesPrompt: false,
  framed: [{ input: 'x', axis: 0, hop: 1 }],
  rows: [],
  text: {},
  limits: { maxInputBytes: 65_536, maxSequenceLength: 65_536 },
} as unknown as ServedModel['signature'];

/** What a snapshot holds. */
interface Saved {
  readonly state: number;
  readonly made: number;
  readonly taken: number;
  /** Values used up of the part behind those, which comes again. */
  readonly used: number;
  readonly ended: boolean;
}

interface Turn {
  readonly turn: number;
  readonly live: boolean;
  /** Not used up. */
  readonly parts: number[][];
  /** Parts that have come. */
  received: number;
  /** Values used up in all. */
  made: number;
  /** Parts used up. */
  taken: number;
  /** Values used up of the part behind those. */
  used: number;
  last: boolean;
  cancelled: boolean;
}

const isDone = ({ last, parts }: Turn): boolean => last && parts.length === 0;

const valuesOf = (tensors: readonly Tensor[]): number[] =>
  tensors.flatMap(({ data }) => Array.from(data));

class EngineSequence implements Sequence {
  readonly #sink: SequenceSink;
  readonly #model: Engine;
  /** What the engine has not read yet. */
  readonly #commands: (() => void)[] = [];
  #state = INITIAL_STATE;
  #restored: Saved | undefined;
  #turn: Turn | undefined;
  #records = 0;
  #bytes = 0;
  #snapshots = 0;
  #closed = false;

  constructor(sink: SequenceSink, model: Engine, { restore }: SequenceOptions) {
    this.#sink = sink;
    this.#model = model;
    if (restore === undefined) return;
    const saved = JSON.parse(Buffer.from(restore).toString()) as Saved;
    this.#state = saved.state;
    if (!saved.ended) this.#restored = saved;
  }

  startTurn(turn: number, { live, tensors }: TurnStart, continued = false): void {
    const values = valuesOf(tensors);
    this.#commands.push(() => {
      const saved = this.#restored;
      this.#restored = undefined;
      if (this.#turn !== undefined || continued !== (saved !== undefined))
        throw new Error(`turn ${turn} does not follow what the engine has`);
      const { made = 0, taken = 0, used = 0 } = saved ?? {};
      const parts = live ? [] : [values];
      const last = !live;
      const cancelled = false;
      this.#turn = { turn, live, parts, received: taken, made, taken, used, last, cancelled };
    });
  }

  input(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    const values = valuesOf(tensors);
    this.#commands.push(() => {
      const running = this.#turn;
      if (running?.turn !== turn) return;
      const expected = running.received++;
      if (part !== expected) throw new Error(`part ${part} came instead of ${expected}`);
      if (values.length > 0) running.parts.push(values);
      running.last = last;
    });
  }

  credit(records: number, bytes: number): void {
    this.#commands.push(() => {
      this.#records += records;
      this.#bytes += bytes;
    });
  }

  cancel(turn: number): void {
    this.#commands.push(() => {
      if (this.#turn?.turn === turn) this.#turn.cancelled = true;
    });
  }

  command(): void {
    throw new Error('it takes no commands');
  }

  stop(turn: number): void {
    this.cancel(turn);
  }

  snapshot(): void {
    this.#commands.push(() => this.#snapshots++);
  }

  close(): void {
    this.#closed = true;
    this.#model.closed(this);
  }

  die(error: CabstandError): void {
    this.#closed = true;
    this.#sink.failed(error);
  }

  /** One step, or whatever happens at its boundary. `late`: before reading what main has sent. */
  step(late: boolean): void {
    if (!late) for (const command of this.#commands.splice(0)) command();
    const turn = this.#turn;
    if (this.#closed || turn === undefined) return;
    if (turn.cancelled) this.#end(turn, 'cancelled');
    else if (isDone(turn)) this.#end(turn, 'completed');
    else if (this.#snapshots > 0) {
      this.#snapshots = 0;
      this.#save(turn, false);
    } else this.#compute(turn);
  }

  #compute(turn: Turn): void {
    const [part] = turn.parts;
    const value = part?.[turn.used];
    if (part === undefined || value === undefined) return;
    if (this.#records <= 0 || this.#bytes <= 0) return;
    this.#state = next(this.#state, value);
    turn.used++;
    turn.made++;
    const chunk = codecs.Chunk.encode({ text: outputOf(this.#state) });
    this.#records--;
    this.#bytes -= chunk.byteLength;
    this.#sink.chunk(turn.turn, chunk);
    if (turn.used < part.length) return;
    turn.parts.shift();
    turn.used = 0;
    if (turn.live) this.#sink.inputTaken(turn.turn, ++turn.taken);
    // Nothing comes between a turn's last step and its end.
    if (isDone(turn)) this.#end(turn, turn.cancelled ? 'cancelled' : 'completed');
  }

  #end(turn: Turn, reason: 'completed' | 'cancelled'): void {
    this.#turn = undefined;
    this.#snapshots = 0;
    this.#save(turn, true);
    this.#sink.endOfTurn(turn.turn, { reason, steps: turn.made });
  }

  #save({ turn, made, taken, used }: Turn, ended: boolean): void {
    const saved: Saved = { state: this.#state, made, taken, used, ended };
    this.#sink.snapshot(turn, {
      data: Buffer.from(JSON.stringify(saved)),
      records: made,
      steps: made,
      partsTaken: taken,
      ended,
    });
  }
}

/** The one model of a hoster; its engine can die, and comes back when told. */
export class Engine implements ServedModel {
  readonly name = MODEL;
  readonly version = '1';
  readonly digest = 'sha256:00';
  readonly signature = MANIFEST;
  readonly provider = 'cpu';
  readonly batchClass = 'exact';
  readonly reference = 'golden';
  readonly batchingNote = '';
  readonly runtime = 'memory';
  readonly outputs = [];
  readonly commands = [];
  readonly capacity = 8;
  readonly places = 8;
  readonly stepSeconds = 0.001;
  readonly forgetSteps = (): void => undefined;
  status: ModelStatus = { state: 'ready' };
  readonly #sequences = new Set<EngineSequence>();
  readonly #listeners = new Set<() => void>();

  get openSequences(): number {
    return this.#sequences.size;
  }

  openSequence(sink: SequenceSink, options: SequenceOptions): Sequence {
    if (this.status.state !== 'ready') throw new CabstandError('ENGINE_CRASHED', 'it restarts');
    if (this.#sequences.size >= this.capacity) throw new CabstandError('HOSTER_FULL', 'no slot');
    const sequence = new EngineSequence(sink, this, options);
    this.#sequences.add(sequence);
    return sequence;
  }

  closed(sequence: EngineSequence): void {
    this.#sequences.delete(sequence);
  }

  step(late = false): void {
    for (const sequence of [...this.#sequences]) sequence.step(late);
  }

  crash(): void {
    if (this.status.state !== 'ready') return;
    this.status = { state: 'loading', stage: 'restarting' };
    const all = [...this.#sequences];
    this.#sequences.clear();
    for (const sequence of all) sequence.die(new CabstandError('ENGINE_CRASHED', 'it died'));
  }

  restart(): void {
    if (this.status.state === 'ready') return;
    this.status = { state: 'ready' };
    for (const listener of [...this.#listeners]) listener();
  }

  /** What the session core and the handlers ask of a model host. */
  host(): ModelSource {
    return {
      resolve: (name) => {
        if (name !== MODEL) throw new CabstandError('MODEL_UNKNOWN', `no model ${name}`);
        if (this.status.state !== 'ready') throw new CabstandError('MODEL_LOADING', 'loading');
        return this;
      },
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    };
  }
}
