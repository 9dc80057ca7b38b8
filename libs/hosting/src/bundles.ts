import { bytesHead } from '@cabstand/core';
import { Encoded, HosterService } from '@cabstand/rpc';
import type { StreamWriter, v1 } from '@cabstand/rpc';

type Response = v1.SessionStreamResponse;

/** An event of so many bytes costs more to copy into a bundle than a message of its own does. */
const LARGE_BYTES = 4096;
/** A bundle is sent, too, when it has so many bytes. */
const BUNDLE_BYTES = 16_384;
/** `SessionStreamResponse.more`, a message. */
const TAG_MORE = 0x22;

const encode = HosterService.rpc_session_stream.response.encode;

/**
 * Writes the events of a session that come within one tick as one message: what a message costs is most of
 * what a small record does. For callers that said `bundles`.
 */
export class Bundles implements StreamWriter<Response> {
  readonly #out: StreamWriter<Response>;
  #events: Buffer[] = [];
  #bytes = 0;
  #room = true;

  constructor(out: StreamWriter<Response>) {
    this.#out = out;
  }

  push(message: Response | Encoded): boolean {
    const event = message instanceof Encoded ? message.bytes : encode(message);
    if (this.#bytes + event.length > BUNDLE_BYTES) this.flush();
    if (event.length >= LARGE_BYTES) {
      this.flush();
      return this.#write(event);
    }
    if (this.#events.push(event) === 1)
      queueMicrotask(() => {
        // Without room it waits for `drained`, of which there is one then, or for `flush`.
        if (this.#room) this.flush();
      });
    this.#bytes += event.length;
    return this.#room;
  }

  async write(message: Response | Encoded): Promise<void> {
    if (!this.push(message)) await this.drained();
  }

  async drained(): Promise<void> {
    do {
      this.flush();
      await this.#out.drained();
      // Something may have come meanwhile.
    } while (this.#events.length > 0);
    this.#room = true;
  }

  /** Sends what has come so far. */
  flush(): void {
    const events = this.#events;
    if (events.length === 0) return;
    this.#events = [];
    this.#bytes = 0;
    this.#write(joined(events));
  }

  #write(bytes: Buffer): boolean {
    this.#room = this.#out.push(new Encoded(bytes));
    return this.#room;
  }
}

/** The first event with all others in `more`. */
function joined([first = Buffer.alloc(0), ...others]: readonly Buffer[]): Buffer {
  if (others.length === 0) return first;
  const pieces = [first];
  for (const event of others) pieces.push(bytesHead(TAG_MORE, event.length), event);
  return Buffer.concat(pieces);
}
