import { ServerInterceptingCall } from '@grpc/grpc-js';
import type { ServerInterceptor } from '@grpc/grpc-js';

/** Messages of one call that are handed to HTTP/2 and not yet taken from it. */
const WINDOW_MESSAGES = 64;

/**
 * grpc-js hands HTTP/2 one message at a time and waits for it. Keeping a bounded window of them there
 * lets Node write many small messages in one go, which is most of what streaming them costs.
 */
class PipelinedCall extends ServerInterceptingCall {
  readonly #windowBytes: number;
  #messages = 0;
  #bytes = 0;
  #blocked: (() => void) | undefined;

  constructor(next: ConstructorParameters<typeof ServerInterceptingCall>[0], windowBytes: number) {
    super(next);
    this.#windowBytes = windowBytes;
  }

  override sendMessage(message: Buffer, callback: () => void): void {
    this.#messages += 1;
    this.#bytes += message.length;
    super.sendMessage(message, () => {
      this.#messages -= 1;
      this.#bytes -= message.length;
      const blocked = this.#blocked;
      this.#blocked = undefined;
      blocked?.();
    });
    if (this.#hasRoom()) callback();
    else this.#blocked = callback;
  }

  #hasRoom(): boolean {
    return this.#messages < WINDOW_MESSAGES && this.#bytes < this.#windowBytes;
  }
}

export function pipelined(windowBytes: number): ServerInterceptor {
  return (_method, call) => new PipelinedCall(call, windowBytes);
}
