/** One stream of frames to a server, and what comes of it. */
import { constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { TOLERANCE } from './clips';
import type { Clip } from './clips';
import { speaker } from './dialects';
import type { Speaker } from './dialects';
import type { Job } from './messages';
import { Messages } from './wire';

/** A promise that is settled from outside; nobody needs to look at its failure. */
class Outcome<T> {
  resolve: (value: T) => void = () => undefined;
  reject: (error: Error) => void = () => undefined;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    this.promise.catch(() => undefined);
  }
}

/** What streams have in common. */
export class Count {
  readonly latencies: number[] = [];
  messages = 0;
  measuring = false;
  sending = true;
  readonly failed = new Outcome<never>();

  constructor(readonly job: Job) {}
}

export class Stream {
  /** Resolves once the golden answers have come, and were right. */
  readonly checked = new Outcome<undefined>();
  /** Resolves once the call is over. */
  readonly ended = new Outcome<undefined>();
  /** Resolves once nothing is on its way, after `sending` went. */
  readonly idle = new Outcome<undefined>();
  readonly #messages = new Messages();
  /** When each frame on its way was sent. */
  readonly #sent: number[] = [];
  readonly #call: ClientHttp2Stream;
  readonly #words: Speaker;
  #next = 0;
  #answers = 0;
  #closing = false;

  constructor(
    connection: ClientHttp2Session,
    readonly clip: Clip,
    readonly count: Count,
  ) {
    this.#words = speaker(count.job.dialect);
    this.#call = connection.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: this.#words.path,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      te: 'trailers',
    });
    this.#call.on('error', (error: Error) => this.#fail(error.message));
    this.#call.on('response', (headers: IncomingHttpHeaders) => this.#status(headers));
    this.#call.on('trailers', (headers: IncomingHttpHeaders) => this.#status(headers));
    this.#call.on('close', () => {
      this.ended.resolve(undefined);
      this.#fail('the stream ended');
    });
    this.#call.on('data', (data: Buffer) => {
      try {
        this.#messages.take(data, (message) => this.#take(message));
      } catch (error) {
        this.#fail(String(error));
      }
    });
    for (const message of this.#words.opening()) this.#call.write(message);
    for (let i = 0; i < count.job.window; i++) this.#send();
  }

  close(): void {
    this.#closing = true;
    for (const message of this.#words.closing()) this.#call.write(message);
    this.#call.end();
  }

  #send(): void {
    const { frames } = this.clip;
    const frame = frames[this.#next++ % frames.length] as Buffer;
    this.#sent.push(performance.now());
    this.#call.write(this.#words.input(frame));
  }

  #take(message: Buffer): void {
    if (this.#closing) return;
    const { count } = this;
    if (count.measuring) count.messages++;
    for (const answer of this.#words.answers(message)) this.#answered(answer);
  }

  #answered(answer: number): void {
    const { count } = this;
    const sent = this.#sent.shift() ?? NaN;
    if (count.measuring) count.latencies.push(performance.now() - sent);
    if (count.job.expect === 'golden') this.#compare(answer);
    else if (answer === 0) this.checked.resolve(undefined);
    else this.#fail(`the answer ${answer} was computed`);
    const reply = this.#words.reply();
    if (reply !== undefined) this.#call.write(reply);
    if (count.sending) this.#send();
    else if (this.#sent.length === 0) this.idle.resolve(undefined);
  }

  #compare(answer: number): void {
    const { expected } = this.clip;
    const golden = expected[this.#answers++];
    if (golden === undefined) {
      if (!(answer >= 0 && answer <= 1)) this.#fail(`the answer ${answer} is no probability`);
    } else if (!(Math.abs(answer - golden) <= TOLERANCE))
      this.#fail(`answer ${this.#answers} of a stream is ${answer}, not ${golden}`);
    if (this.#answers === expected.length) this.checked.resolve(undefined);
  }

  #status(headers: IncomingHttpHeaders): void {
    const status = headers['grpc-status'];
    if (status !== undefined && status !== '0')
      this.#fail(`status ${String(status)}: ${String(headers['grpc-message'])}`);
  }

  #fail(message: string): void {
    if (!this.#closing) this.count.failed.reject(new Error(message));
  }
}
