import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CabstandError, invalid } from '@cabstand/core';
import { RecordField } from '@cabstand/engine';
import type { Replay, ReplayEntry, StopReason, TurnEnd } from '@cabstand/engine';
import { codecs } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type {
  Sequence,
  SequenceOptions,
  SequenceSink,
  SessionCommand,
  TurnStart,
} from '@cabstand/sessions';
import { toWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { ScriptedParts } from './parts';
import type { ModuleState, SequenceInit } from './sequence-init';
import { failureError } from './strike';
import type { Trial } from './strike';
import { turnEnd } from './turn-end';
import type { MockGiven, MockModule, MockModuleOptions, MockRecord } from './types';

/** The session is not here any more: its author hears nothing of it. */
class Halt extends Error {}

const FRESH: ModuleState = {
  state: {},
  point: 0,
  chain: 0,
  commands: 0,
  made: 0,
  told: 0,
  parts: 0,
};

/** A session in an engine whose module is a function: what it is given and what it tells become records. */
export class ModuleSequence implements Sequence, MockModule {
  state: Record<string, unknown>;
  readonly #sink: SequenceSink;
  readonly #init: SequenceInit;
  readonly #options: MockModuleOptions;
  readonly #session: string;
  readonly #from: ModuleState;
  readonly #commands: SessionCommand[] = [];
  #parts = new ScriptedParts([]);
  /** What it is given once more, and how much it does once more. */
  #given: ReplayEntry[] = [];
  #again: Replay | undefined;
  #trial: Trial | undefined;
  #turn = 0;
  #point: number;
  #chain: number;
  #applied: number;
  /** Records of the turn, those of engines before included. */
  #made: number;
  /** Of them, those that its consumer was given, parts of input apart. */
  #told: number;
  #held = 0;
  #records = 0;
  #bytes = 0;
  #stop: StopReason | undefined;
  #closed = false;
  /** It waits for its next turn. */
  #between = false;
  #wake: () => void = () => undefined;

  constructor(
    sink: SequenceSink,
    init: SequenceInit,
    options: MockModuleOptions,
    { restore, session = '' }: SequenceOptions,
  ) {
    this.#sink = sink;
    this.#init = init;
    this.#options = options;
    this.#session = session;
    this.#from = (restore && init.states.get(Buffer.from(restore).toString())?.module) ?? FRESH;
    const { state, point, chain, commands, made, told } = this.#from;
    this.state = structuredClone(state);
    this.#point = point;
    this.#chain = chain;
    this.#applied = commands;
    this.#made = made;
    this.#told = told;
  }

  startTurn(turn: number, input: TurnStart, _continued?: boolean, replay?: Replay): void {
    const { hoster, model, seen } = this.#init;
    this.#trial = this.#init.trial(this.#session, turn);
    this.#turn = turn;
    this.#again = replay;
    this.#given = [...(replay?.entries ?? [])];
    const taken = this.#between ? 0 : this.#from.parts;
    this.#parts = new ScriptedParts(
      Array.from({ length: taken }, () => []),
      () => undefined,
      taken,
    );
    seen({ hoster, sessionId: this.#session, model, turn, ...input, parts: this.#parts });
    if (this.#between) {
      this.#between = false;
      this.#wake();
      return;
    }
    void Promise.resolve().then(() => this.#run());
  }

  input(_turn: number, _part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#parts.add(tensors, last);
    this.#wake();
  }

  credit(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
    this.#wake();
  }

  cancel(): void {
    this.stop(this.#turn, 'cancelled');
  }

  command(_turn: number, command: SessionCommand): void {
    this.#commands.push(command);
    this.#wake();
  }

  stop(_turn: number, reason: StopReason): void {
    this.#stop ??= reason;
    this.#wake();
  }

  snapshot(): void {
    // It gives one at each of its checkpoints.
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    this.#init.closed(this);
  }

  // What its author calls.

  async next(): Promise<MockGiven | undefined> {
    this.#point++;
    const planned = this.#given[0];
    for (;;) {
      this.#check();
      if (planned === undefined || planned.kind === 'command') {
        const command = planned === undefined ? this.#newCommand() : this.#replayed('command');
        // One that cannot be read is not given.
        if (command !== undefined) return (await this.#carryOut(command)) ?? (await this.next());
      }
      if (planned === undefined || planned.kind === 'part') {
        const part = this.#parts.used;
        const tensors = this.#parts.take();
        if (tensors !== undefined) {
          if (planned !== undefined) this.#replayed('part');
          await this.#write({ input: { part } }, RecordField.input);
          return { kind: 'part', tensors };
        }
      }
      if (planned === undefined && (this.#parts.over || this.#stop !== undefined)) return undefined;
      await this.#something();
    }
  }

  async emit({ tensors = [], text = '' }: MockRecord): Promise<void> {
    this.#point++;
    const outputs = tensors.map((tensor) => toWire(tensor) as v1.Tensor);
    await this.#write({ chunk: { outputs, text } }, RecordField.chunk);
  }

  async send(name: string, value: unknown): Promise<void> {
    this.#point++;
    await this.#write({ message: { name, json: JSON.stringify(value) } }, RecordField.message);
  }

  async record(name: string, find: () => unknown): Promise<unknown> {
    this.#point++;
    const json = this.#given.length > 0 ? this.#replayed('value').json : JSON.stringify(find());
    await this.#write({ recorded: { name, json } }, RecordField.recorded);
    return JSON.parse(json) as unknown;
  }

  notify(name: string, value: unknown): void {
    if (!this.#replaying) this.#sink.notice(this.#turn, name, JSON.stringify(value));
  }

  async checkpoint(): Promise<void> {
    this.#check();
    if (this.#options.survival === 'none' || this.#replaying) return;
    await this.#due();
    this.#check();
    this.#save({ made: this.#made, told: this.#told, parts: this.#parts.used }, false);
  }

  async nextTurn(): Promise<number | undefined> {
    this.#check();
    if (this.#replaying) throw notDeterministic();
    await this.#due();
    this.#check();
    if (this.#options.survival !== 'none') this.#save({ made: 0, told: 0, parts: 0 }, true);
    const end = turnEnd(this.#stop ?? 'completed', this.#made, undefined);
    this.#between = true;
    this.#stop = undefined;
    this.#commands.length = this.#made = this.#told = 0;
    this.#sink.endOfTurn(this.#turn, { ...end, goesOn: true } as TurnEnd);
    while (this.#between) {
      if (this.#closed) return undefined;
      await this.#something();
    }
    return this.#turn;
  }

  #save(within: Pick<ModuleState, 'made' | 'told' | 'parts'>, ended: boolean): void {
    this.#held = 0;
    const key = randomUUID();
    const module: ModuleState = {
      state: structuredClone(this.state),
      ...{ point: this.#point, chain: this.#chain, commands: this.#applied },
      ...within,
    };
    this.#init.states.set(key, { made: 0, parts: [], ended: false, module });
    this.#sink.snapshot(this.#turn, {
      data: Buffer.from(key),
      ...{ records: this.#made, steps: this.#made, partsTaken: this.#parts.used, ended },
    });
  }

  async #run(): Promise<void> {
    let error: CabstandError | undefined;
    try {
      await this.#options.run(this);
      await this.#due();
      this.#check();
    } catch (thrown) {
      if (thrown instanceof Halt) return;
      error = CabstandError.from(thrown);
    }
    if (this.#closed) return;
    this.#sink.endOfTurn(this.#turn, turnEnd(this.#stop ?? 'completed', this.#made, error));
    if (error !== undefined) this.#trial?.ended(error);
  }

  get #replaying(): boolean {
    return this.#made < (this.#again?.records ?? 0);
  }

  #newCommand(): SessionCommand | undefined {
    for (;;) {
      const command = this.#commands.shift();
      // One that took effect comes again, from a hoster that did not hear of it; of those without a number none does.
      if (command === undefined || command.number < 0 || command.number >= this.#applied)
        return command;
    }
  }

  #replayed<K extends ReplayEntry['kind']>(kind: K): Extract<ReplayEntry, { kind: K }> {
    const given = this.#given.shift();
    if (given?.kind !== kind) throw notDeterministic();
    return given as Extract<ReplayEntry, { kind: K }>;
  }

  /** Undefined where its arguments are no JSON: what is wrong with it is its result. */
  async #carryOut({
    number,
    name,
    arguments: json,
  }: SessionCommand): Promise<MockGiven | undefined> {
    this.#applied = Math.max(this.#applied, number + 1);
    await this.#write(
      { applied: { sequence: number, name, arguments: json } },
      RecordField.applied,
    );
    const answer = async (value: unknown): Promise<void> => {
      const result = CabstandError.is(value)
        ? {
            error: {
              ...{ reason: value.reason, message: value.message },
              metadata: { ...value.metadata },
            },
          }
        : { value: JSON.stringify(value ?? null) };
      await this.#write({ result: { sequence: number, ...result } }, RecordField.result);
    };
    try {
      const value: unknown = json === '' || json === '{}' ? undefined : JSON.parse(json);
      return { kind: 'command', number, name, arguments: value, answer };
    } catch {
      await answer(invalid('COMMAND_INVALID', 'arguments', json, 'JSON'));
      return undefined;
    }
  }

  async #write(record: v1.Record, field: number): Promise<void> {
    const commits = this.#options.survival === 'commit';
    if (!commits) await this.#due();
    while (!this.#closed && (this.#records <= 0 || this.#bytes <= 0)) await this.#something();
    this.#check();
    const body = bodyOf(record);
    this.#records--;
    this.#bytes -= body.byteLength;
    this.#made++;
    if (field !== RecordField.input) this.#told++;
    if (commits) this.#held++;
    if (this.#options.survival === 'replay') this.#chain = crc32(body, this.#chain);
    const more = false;
    const point = this.#point;
    this.#sink.record(this.#turn, { field, point, chain: this.#chain, body, more, key: !commits });
    if (this.#made === this.#again?.records && this.#chain !== this.#again.chain)
      throw notDeterministic();
  }

  /** The failure that it is to have, if its time has come. */
  async #due(): Promise<void> {
    if (this.#replaying || this.#trial === undefined) return;
    const after = await this.#trial.due(this.#told - this.#held);
    if (after === 'over') throw new Halt();
    if (after === 'end') throw failureError(this.#trial.failure, 'INTERNAL');
  }

  #something(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #check(): void {
    if (this.#closed) throw new Halt();
  }
}

function notDeterministic(): CabstandError {
  return new CabstandError('SESSION_LOST', 'the module did something else the second time', {
    metadata: { problem: 'not_deterministic' },
  });
}

/** The serialized message of the one body of a record: behind its tag and its length. */
function bodyOf(record: v1.Record): Buffer {
  const bytes = codecs.Record.encode(record);
  let at = 1;
  while ((bytes[at] ?? 0) >= 0x80) at++;
  return bytes.subarray(at + 1);
}
