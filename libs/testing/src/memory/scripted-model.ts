import type { ModelInputs } from '@cabstand/client/protocol';
import { CabstandError } from '@cabstand/core';
import type { CommandDescription } from '@cabstand/engine';
import type { InputSpec, ModelSignature } from '@cabstand/model';
import type {
  ModelSource,
  ModelStatus,
  Sequence,
  SequenceOptions,
  SequenceSink,
  ServedModel,
} from '@cabstand/sessions';
import { ANY_INPUT } from '../engine/any-input';
import { ModuleSequence } from './module-sequence';
import { ScriptedSequence } from './scripted-sequence';
import type { SequenceInit } from './sequence-init';
import type { MockModuleOptions } from './types';

export interface ScriptedHostInit extends Omit<SequenceInit, 'model' | 'closed'> {
  readonly digest: () => string;
  readonly capacity: number;
  readonly inputs: ModelInputs | undefined;
  readonly module: MockModuleOptions | undefined;
}

/** Serves any model by name: all of them are the same function. */
export class ScriptedHost implements ModelSource {
  readonly #init: ScriptedHostInit;
  readonly #models = new Map<string, ScriptedModel>();

  constructor(init: ScriptedHostInit) {
    this.#init = init;
  }

  /** By the weights that it has now; sessions keep the ones that they began with. */
  resolve(name: string): ScriptedModel {
    const digest = this.#init.digest();
    const key = `${digest} ${name}`;
    const known = this.#models.get(key) ?? new ScriptedModel(this.#init, name, digest);
    this.#models.set(key, known);
    return known;
  }

  onChange(): () => void {
    return () => undefined;
  }

  /** The engine is gone with all that it computes. */
  die(): void {
    for (const model of this.#models.values()) model.die();
  }
}

class ScriptedModel implements ServedModel {
  readonly version = '1';
  readonly provider = 'cpu' as const;
  readonly batchClass = 'exact' as const;
  readonly reference = 'golden' as const;
  readonly batchingNote = '';
  readonly runtime = 'scripted';
  readonly stepSeconds = 0;
  readonly outputs = [];
  readonly commands: readonly CommandDescription[];
  readonly status: ModelStatus = { state: 'ready' };
  readonly signature: ModelSignature;
  readonly #init: ScriptedHostInit;
  readonly #sequences = new Set<Sequence>();

  constructor(
    init: ScriptedHostInit,
    readonly name: string,
    readonly digest: string,
  ) {
    this.#init = init;
    this.commands = (init.module?.commands ?? []).map((command) => ({ name: command }));
    this.signature = { ...signatureOf(init), name, digest };
  }

  get capacity(): number {
    return this.#init.capacity;
  }

  get places(): number {
    return this.capacity;
  }

  get openSequences(): number {
    return this.#sequences.size;
  }

  forgetSteps(): void {
    // It keeps no time of steps.
  }

  openSequence(sink: SequenceSink, options: SequenceOptions): Sequence {
    if (this.#sequences.size >= this.capacity)
      throw new CabstandError('HOSTER_FULL', 'all slots are taken');
    const { module } = this.#init;
    const closed = (sequence: Sequence): void => void this.#sequences.delete(sequence);
    const init = { ...this.#init, model: this.name, closed };
    const sequence =
      module === undefined
        ? new ScriptedSequence(sink, init, options)
        : new ModuleSequence(sink, init, module, options);
    this.#sequences.add(sequence);
    return sequence;
  }

  die(): void {
    for (const sequence of [...this.#sequences]) sequence.close();
  }
}

const TRAITS = {
  exclusive: false,
  messages: {},
  sessionSeconds: undefined,
  stopGraceSeconds: 5,
  commandsWaiting: 64,
  commandBytes: 65_536,
  resultBytes: 65_536,
  messageBytes: 65_536,
  replayRecords: 10_000,
} as const;

function signatureOf({ inputs: told, module }: ScriptedHostInit): ModelSignature {
  const { inputs = [], framing = [] } = told ?? {};
  return {
    ...ANY_INPUT,
    kind: module === undefined ? 'stateful' : 'module',
    sessions: module && { ...TRAITS, survival: module.survival },
    takesAnything: true,
    inputs: inputs.map((input): InputSpec => ({
      ...{ ...input, alsoDtypes: [], shape: [-1], description: '', media: undefined },
      ...{ minimum: undefined, maximum: undefined, allowNan: true },
    })),
    framed: framing.map((framed) => ({ ...framed, carry: 0, carryValue: 0, formats: [] })),
    text: { input: undefined, output: undefined },
  };
}
