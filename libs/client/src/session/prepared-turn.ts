import { CabstandError, abortable, invalid, linkSignals } from '@cabstand/core';
import type { LinkedSignal } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { ModelInputs, TurnInput } from '../protocol/types';
import type { Chunk, TurnResult } from './chunk';
import { inputBytes, isComplete } from './input';
import type { GivenInput } from './input';
import { inputParts } from './input-parts';
import type { PartedInput } from './input-parts';
import { isPath, typedInputs } from './input-values';
import { LiveTurn } from './live-turn';
import { withLiveDefaults } from './options';
import { chunksOnly } from './reading';
import { TurnRun } from './turn-run';
import type { RunContext } from './turn-run';

/** Input of more than so many bytes is sent in parts, if the model cuts it into frames. */
const LONG_BYTES = 8_388_608;

type Turn = AsyncIterableIterator<Chunk, TurnResult, undefined>;
type Step = IteratorResult<Chunk, TurnResult>;

export interface Preparation {
  /** Undefined where nobody can tell. */
  readonly modelInputs: (signal: AbortSignal) => Promise<ModelInputs | undefined>;
  /** Largest message that may be sent. */
  readonly maxMessageBytes: number;
}

/** Whether a turn can be sent as it is: other input needs a `PreparedTurn`. */
export function isShort(input: GivenInput): input is TurnInput {
  return isComplete(input) && turnBytes(input) <= LONG_BYTES && !input.tensors.some(isPath);
}

/**
 * A turn whose input has to be made or cut as its model takes it, which is asked for first: lists of numbers, paths,
 * and input of more than `LONG_BYTES`. The session is busy from the first `next` on.
 */
export class PreparedTurn implements Turn {
  readonly #context: RunContext;
  readonly #input: GivenInput;
  readonly #preparation: Preparation;
  #turn: Promise<Turn> | undefined;
  #link: LinkedSignal | undefined;
  /** Nothing follows: it failed while it was prepared, or was left before. */
  #over = false;

  constructor(context: RunContext, input: GivenInput, preparation: Preparation) {
    this.#context = context;
    this.#input = input;
    this.#preparation = preparation;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<Step> {
    if (this.#over) return { done: true, value: this.#nothing };
    if (this.#turn === undefined) {
      this.#context.begin();
      this.#turn = this.#prepare();
    }
    return (await this.#turn).next();
  }

  async return(value?: TurnResult): Promise<Step> {
    const turn = this.#turn;
    if (turn === undefined) this.#over = true;
    this.#link?.abort(new CabstandError('CANCELLED', 'the turn was left before its end'));
    await turn?.then((prepared) => prepared.return?.()).catch(() => undefined);
    // The type asks for a result, and `for await` ignores it.
    return { done: true, value: value ?? this.#nothing };
  }

  get #nothing(): TurnResult {
    return { turn: this.#context.core.turn, reason: 'error', steps: 0, chunks: 0 };
  }

  async #prepare(): Promise<Turn> {
    const { done, core, clock, signals } = this.#context;
    using link = linkSignals(signals, {
      ms: core.timeouts.placeMs,
      what: 'asking what the model takes',
      clock,
    });
    this.#link = link;
    try {
      return await this.#make(link.signal);
    } catch (thrown) {
      this.#over = true;
      const error = CabstandError.from(thrown);
      done(undefined, error);
      throw error;
    } finally {
      this.#link = undefined;
    }
  }

  async #make(signal: AbortSignal): Promise<Turn> {
    const given = this.#input;
    const asked = abortable(this.#preparation.modelInputs(signal), signal);
    const model = await asked.catch((error: unknown) => {
      // It may be sent all the same, and then fails with what is really in the way.
      if (!isComplete(given) || signal.aborted) throw error;
      return undefined;
    });
    const input = { ...given, tensors: typedInputs(given.tensors, model) };
    const context = { ...this.#context, begin: () => undefined };
    const parted =
      turnBytes(input) > LONG_BYTES ? inputParts(input.tensors, model?.framing ?? []) : undefined;
    const most = Math.min(this.#preparation.maxMessageBytes, model?.maxMessageBytes ?? Infinity);
    checkSize({ ...input, tensors: parted?.opening ?? input.tensors }, most);
    return parted === undefined
      ? new TurnRun(context, input, chunksOnly)
      : sendInParts(context, input, parted);
  }
}

/** Runs the turn as a live one whose input is all there. */
function sendInParts(context: RunContext, input: TurnInput, { opening, parts }: PartedInput): Turn {
  const failed = new AbortController();
  const turn = new LiveTurn(
    // Parts wait for the reader of the chunks, however long that takes.
    { ...context, writeMs: Infinity, signals: [...context.signals, failed.signal] },
    { ...input, tensors: opening },
    { ...withLiveDefaults({}), copies: false },
    chunksOnly,
  );
  const send = async (): Promise<void> => {
    for (const part of parts) await turn.write(part);
    await turn.end();
  };
  // The turn cannot end without its input; mostly it has failed already.
  send().catch((error: unknown) => failed.abort(CabstandError.from(error)));
  return turn;
}

function turnBytes({ prompt, tensors }: Pick<TurnInput, 'prompt' | 'tensors'>): number {
  return prompt.length + inputBytes(tensors);
}

/** Throws MESSAGE_TOO_LARGE for input that cannot be in one message. */
function checkSize(input: Pick<TurnInput, 'prompt' | 'tensors'>, most: number): void {
  const bytes = turnBytes(input);
  if (bytes <= most) return;
  const [largest] = [...input.tensors].sort((a, b) => sizeOf(b) - sizeOf(a));
  throw invalid(
    'MESSAGE_TOO_LARGE',
    largest === undefined || sizeOf(largest) < input.prompt.length
      ? 'prompt'
      : `input ${largest.name}`,
    `${bytes} bytes`,
    `at most ${most} in a turn of a model that does not take this input in parts: ` +
      'send less, or raise maxMessageBytes of the SessionManager and rpc.max_message_bytes of the hosters',
  );
}

const sizeOf = (tensor: Tensor): number => inputBytes([tensor]);
