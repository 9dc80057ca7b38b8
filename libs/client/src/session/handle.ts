import { invalid } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { Checkpoint, Survival } from '../protocol/events';
import type { GivenRecord, Target, TurnInput } from '../protocol/types';
import type { KeptCommands } from './commands';

/** What another process needs to go on with a session. */
export interface HandleContent {
  readonly sessionId: string;
  readonly model: string;
  readonly digest: string;
  readonly priority: number;
  /** The highest epoch that any hoster was told. */
  readonly epoch: number;
  /** See `ResumeRequest`; undefined in handles of before. */
  readonly servedEpoch?: number | undefined;
  /** Where it was last. */
  readonly node: Target;
  /** The next position wanted. */
  readonly position: number;
  /** The turn that runs, or the next one. */
  readonly turn: number;
  readonly checkpoint: Checkpoint | undefined;
  /** Turns that the checkpoint does not cover. */
  readonly past: readonly KeptTurn[];
  /** Set while a turn runs. */
  readonly running: RunningTurn | undefined;
  /** Set for a module's session. */
  readonly module?: KeptModule | undefined;
}

/** What a module's session has besides. */
interface KeptModule {
  readonly survival: Survival;
  /** What it was given since the checkpoint; undefined where that was too much. */
  readonly given: readonly GivenRecord[] | undefined;
  readonly chain: number;
  readonly commands: KeptCommands;
}

export interface KeptTurn {
  readonly turn: number;
  readonly position: number;
  readonly input: TurnInput | undefined;
}

export interface RunningTurn {
  /** The position at which it begins. */
  readonly start: number;
  /** Undefined where it was too much to keep. */
  readonly input: TurnInput | undefined;
  /** Chunks of it up to the position that is wanted next. */
  readonly chunks: number;
}

const PREFIX = 'cabstand-session-1.';

/** A handle as text without blanks. */
export function encodeHandle(content: HandleContent): string {
  const text = JSON.stringify(
    content,
    function (this: Record<string, unknown>, key, value: unknown) {
      // A Buffer has turned itself into something else before it comes here as a value.
      const raw = this[key];
      return raw instanceof Uint8Array ? { base64: Buffer.from(raw).toString('base64') } : value;
    },
  );
  return PREFIX + Buffer.from(text).toString('base64url');
}

/** Throws INVALID_ARGUMENT for anything that `encodeHandle` did not make. */
export function decodeHandle(handle: string): HandleContent {
  if (typeof handle !== 'string' || !handle.startsWith(PREFIX))
    throw bad('a handle of another kind');
  let value: unknown;
  try {
    const text = Buffer.from(handle.slice(PREFIX.length), 'base64url').toString();
    value = JSON.parse(text, (_key, part: unknown) =>
      isRecord(part) && typeof part['base64'] === 'string'
        ? new Uint8Array(Buffer.from(part['base64'], 'base64'))
        : part,
    );
  } catch {
    throw bad('a damaged handle');
  }
  if (!isContent(value)) throw bad('an incomplete handle');
  return value;
}

function bad(what: string): Error {
  return invalid('INVALID_ARGUMENT', 'handle', what, 'what export() gave');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isContent(value: unknown): value is HandleContent {
  if (!isRecord(value)) return false;
  const { sessionId, model, digest, priority, epoch, node, position, turn } = value;
  const { checkpoint, past, running, module, servedEpoch } = value;
  return (
    typeof sessionId === 'string' &&
    typeof model === 'string' &&
    typeof digest === 'string' &&
    isCount(priority) &&
    isCount(epoch) &&
    (servedEpoch === undefined || isCount(servedEpoch)) &&
    isTarget(node) &&
    isCount(position) &&
    isCount(turn) &&
    (checkpoint === undefined || isCheckpoint(checkpoint)) &&
    Array.isArray(past) &&
    past.every((one) => isRecord(one) && isCount(one['turn']) && isPlaced(one, 'position')) &&
    (running === undefined ||
      (isRecord(running) && isPlaced(running, 'start') && isCount(running['chunks']))) &&
    (module === undefined || isModule(module))
  );
}

function isModule(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { survival, given, chain, commands } = value;
  return (
    (survival === 'none' || survival === 'replay' || survival === 'commit') &&
    (given === undefined || (Array.isArray(given) && given.every(isGiven))) &&
    isCount(chain) &&
    isRecord(commands) &&
    isCount(commands['next']) &&
    (commands['guessedFrom'] === undefined || isCount(commands['guessedFrom'])) &&
    Array.isArray(commands['waiting']) &&
    commands['waiting'].every((one) => isRecord(one) && isCount(one['number']) && isCommand(one))
  );
}

function isGiven(value: unknown): boolean {
  if (!isRecord(value) || !isCount(value['position']) || !isCount(value['turn'])) return false;
  const { body } = value;
  if (body === 'recorded')
    return typeof value['name'] === 'string' && typeof value['json'] === 'string';
  return (
    isCount(value['sequence']) && (body === 'input' || (body === 'command' && isCommand(value)))
  );
}

function isCommand(value: Record<string, unknown>): boolean {
  return typeof value['name'] === 'string' && typeof value['arguments'] === 'string';
}

function isPlaced(value: Record<string, unknown>, position: string): boolean {
  return isCount(value[position]) && (value['input'] === undefined || isInput(value['input']));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTarget(value: unknown): value is Target {
  return (
    isRecord(value) &&
    typeof value['nodeId'] === 'string' &&
    typeof value['incarnation'] === 'string' &&
    typeof value['address'] === 'string'
  );
}

function isCheckpoint(value: unknown): value is Checkpoint {
  return isRecord(value) && isCount(value['position']) && value['sealed'] instanceof Uint8Array;
}

function isInput(value: unknown): value is TurnInput {
  return (
    isRecord(value) &&
    typeof value['prompt'] === 'string' &&
    typeof value['parameters'] === 'string' &&
    Array.isArray(value['tensors']) &&
    value['tensors'].every(isTensor)
  );
}

function isTensor(value: unknown): value is Tensor {
  return (
    isRecord(value) &&
    typeof value['name'] === 'string' &&
    typeof value['dtype'] === 'string' &&
    Array.isArray(value['shape']) &&
    value['data'] instanceof Uint8Array
  );
}
