/** A thread that answers one question after another. Owners take turns, however many each of them asks. */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';

/** What the thread gets. */
export interface ThreadQuestion<Asked> {
  readonly id: number;
  readonly asked: Asked;
}

/** What it sends back, after `READY`, once. */
export type ThreadAnswer<Told> =
  | { readonly id: number; readonly told: Told }
  | {
      readonly id: number;
      readonly error: {
        readonly reason: Reason;
        readonly message: string;
        readonly metadata: Record<string, string>;
      };
    };

/** The thread has read its files: from now on its time counts. */
export const READY = 'ready';

export interface ThreadQueueOptions<Asked> {
  /** Below the engine's `dist`, or absolute. */
  readonly entry: string;
  /** `workerData` of the thread. */
  readonly data: unknown;
  /** Longest that one answer may take. */
  readonly limitMs: number;
  /** Memory of the thread, in MiB. Default: Node's. */
  readonly limitMiB?: number;
  /** What whoever asked is told then. */
  readonly tooLong: (asked: Asked) => CabstandError;
}

interface Waiting<Asked, Told> extends ThreadQuestion<Asked> {
  readonly owner: string;
  readonly resolve: (told: Told) => void;
  readonly reject: (error: CabstandError) => void;
}

export class ThreadQueue<Asked, Told> implements AsyncDisposable {
  readonly #options: ThreadQueueOptions<Asked>;
  /** Made for the first question: there may never be one. */
  #worker: Worker | undefined;
  #ready = false;
  /** The question that the thread has. */
  #current: Waiting<Asked, Told> | undefined;
  /** The others by their owners, in the order of the owners' turns; no list is empty. */
  readonly #waiting = new Map<string, Waiting<Asked, Told>[]>();
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ThreadQueueOptions<Asked>) {
    this.#options = options;
  }

  /**
   * @param signal gives it up, even while the thread works on it: those behind it wait no longer for it then
   * @throws CabstandError what the thread tells, `tooLong`, INTERNAL where the thread ended while it worked on it, or
   *   CANCELLED.
   */
  async ask(asked: Asked, owner: string, signal?: AbortSignal): Promise<Told> {
    if (signal?.aborted === true) throw unwanted();
    let giveUp: (() => void) | undefined;
    try {
      return await new Promise<Told>((resolve, reject) => {
        const question = { id: this.#next++, asked, owner, resolve, reject };
        const waiting = this.#waiting.get(owner);
        if (waiting === undefined) this.#waiting.set(owner, [question]);
        else waiting.push(question);
        giveUp = () => this.#giveUp(question);
        signal?.addEventListener('abort', giveUp, { once: true });
        this.#askNext();
      });
    } finally {
      if (giveUp !== undefined) signal?.removeEventListener('abort', giveUp);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#waiting.clear();
    this.#current = undefined;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
    const { entry, data, limitMiB } = this.#options;
    const worker = new Worker(path.resolve(root, 'dist', entry), {
      workerData: data,
      resourceLimits: limitMiB === undefined ? {} : { maxOldGenerationSizeMb: limitMiB },
    });
    this.#ready = false;
    // It keeps no process alive that has nothing else to do.
    worker.unref();
    worker.on('message', (message: ThreadAnswer<Told> | typeof READY) => {
      if (worker !== this.#worker) return;
      if (message !== READY) this.#take(message);
      else {
        this.#ready = true;
        this.#limit();
      }
    });
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#stop(CabstandError.from(error));
    });
    // Some ends come without an error: of a process.exit in it, say.
    worker.on('exit', (code) => {
      if (worker === this.#worker) this.#stop(ended(code));
    });
    return worker;
  }

  /** Gives the thread the next question, once it has none. */
  #askNext(): void {
    if (this.#current !== undefined) return;
    const [first] = this.#waiting;
    if (first === undefined) return;
    const [owner, [question, ...others]] = first;
    this.#waiting.delete(owner);
    // Behind all other owners.
    if (others.length > 0) this.#waiting.set(owner, others);
    if (question === undefined) return;
    this.#current = question;
    this.#worker ??= this.#start();
    const { id, asked } = question;
    this.#worker.postMessage({ id, asked } satisfies ThreadQuestion<Asked>);
    if (this.#ready) this.#limit();
  }

  #limit(): void {
    clearTimeout(this.#timer);
    const { limitMs, tooLong } = this.#options;
    const question = this.#current;
    if (question === undefined) return;
    this.#timer = setTimeout(() => this.#stop(tooLong(question.asked)), limitMs);
    this.#timer.unref();
  }

  #take(answer: ThreadAnswer<Told>): void {
    const question = this.#current;
    if (question?.id !== answer.id) return;
    this.#current = undefined;
    clearTimeout(this.#timer);
    if ('told' in answer) question.resolve(answer.told);
    else {
      const { reason, message, metadata } = answer.error;
      question.reject(new CabstandError(reason, message, { metadata }));
    }
    this.#askNext();
  }

  #giveUp(question: Waiting<Asked, Told>): void {
    if (question === this.#current) {
      this.#stop(unwanted());
      return;
    }
    const waiting = this.#waiting.get(question.owner);
    const at = waiting?.indexOf(question) ?? -1;
    if (waiting === undefined || at < 0) return;
    waiting.splice(at, 1);
    if (waiting.length === 0) this.#waiting.delete(question.owner);
    question.reject(unwanted());
  }

  /** Only the end of the thread stops its work; a new one answers the others. */
  #stop(error: CabstandError): void {
    clearTimeout(this.#timer);
    void this.#worker?.terminate();
    this.#worker = undefined;
    const question = this.#current;
    this.#current = undefined;
    question?.reject(error);
    this.#askNext();
  }
}

function unwanted(): CabstandError {
  return new CabstandError('CANCELLED', 'the answer is not wanted any more');
}

function ended(code: number): CabstandError {
  return new CabstandError('INTERNAL', `the thread that worked on it ended with code ${code}`);
}
