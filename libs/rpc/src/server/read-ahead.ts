import type * as v1 from '../v1';

/** Requests that wait on a stream: their number, and about their bytes. */
const MOST_WAITING = 64;
const MOST_WAITING_BYTES = 1024 * 1024;

export interface ReadAheadOptions<T> {
  /** Deals with a request that need not wait for those before it; false where it has to. What it throws, `until` throws. */
  overtake(request: T): boolean;
  /** Bytes of one that waits; Infinity for one behind which all others wait, too. */
  bytesOf(request: T): number;
}

/**
 * The requests of a stream, one after another. While one of them waits for room those behind it are read on, as far as
 * they are few and small: a stop among them need not wait.
 */
export class ReadAhead<T> implements AsyncIterator<T> {
  readonly #requests: AsyncIterator<T>;
  readonly #options: ReadAheadOptions<T>;
  readonly #waiting: { readonly result: Promise<IteratorResult<T>>; readonly bytes: number }[] = [];
  #reading: Promise<IteratorResult<T>> | undefined;

  constructor(requests: AsyncIterator<T>, options: ReadAheadOptions<T>) {
    this.#requests = requests;
    this.#options = options;
  }

  next(): Promise<IteratorResult<T>> {
    return this.#waiting.shift()?.result ?? this.#read();
  }

  /** Resolves and rejects as `room` does; reads on until then. */
  async until(room: Promise<void>): Promise<void> {
    let over = false;
    let wake: () => void = () => undefined;
    // Told once: a race of the room with each request would keep all that overtook until there is room.
    const onRoom = (): void => {
      over = true;
      wake();
    };
    void room.then(onRoom, onRoom);
    while (this.#mayReadOn) {
      this.#reading ??= this.#requests.next();
      // Where it fails, `next` will say so.
      const read = this.#reading.catch(() => ({ done: true, value: undefined }) as const);
      const found = await new Promise<IteratorResult<T> | undefined>((resolve) => {
        wake = () => resolve(undefined);
        if (over) wake();
        else void read.then(resolve);
      });
      if (found === undefined) break;
      const result = this.#read();
      if (found.done === true) this.#waiting.push({ result, bytes: Infinity });
      else if (!this.#options.overtake(found.value))
        this.#waiting.push({ result, bytes: this.#options.bytesOf(found.value) });
    }
    await room;
  }

  get #mayReadOn(): boolean {
    const bytes = this.#waiting.reduce((sum, one) => sum + one.bytes, 0);
    return this.#waiting.length < MOST_WAITING && bytes < MOST_WAITING_BYTES;
  }

  #read(): Promise<IteratorResult<T>> {
    const reading = this.#reading ?? this.#requests.next();
    this.#reading = undefined;
    return reading;
  }
}

/** About what a request or a tensor takes beside its content, however little that is. */
const AROUND_BYTES = 256;
/** A dimension, or a text beside its letters. */
const ITEM_BYTES = 8;

/**
 * Of a request of a session's stream: others overtake parts and commands, and nothing else. What it takes in memory,
 * not what is of use in it: a tensor may consist of its name, or of its dimensions.
 */
export function waitingBytes({ input, command }: v1.SessionStreamRequest__Output): number {
  if (command) return AROUND_BYTES + command.name.length + command.arguments.length;
  if (!input) return Infinity;
  let bytes = AROUND_BYTES;
  for (const { name, shape, data, strings } of input.inputs) {
    bytes += AROUND_BYTES + name.length + shape.length * ITEM_BYTES + data.length;
    for (const text of strings) bytes += ITEM_BYTES + text.length;
  }
  return bytes;
}
