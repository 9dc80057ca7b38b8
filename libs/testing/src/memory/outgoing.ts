import { abortReason, linkSignals } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import { Encoded, HosterService } from '@cabstand/rpc';
import type { ServerCall, StreamWriter, v1 } from '@cabstand/rpc';

/** What the hoster is told of a stream. */
export interface OutgoingEvents {
  opened(session: string): void;
  record(record: v1.Record__Output): void;
}

/** Both kinds of responses hold these in the same fields. */
type Response = Pick<v1.SessionStreamResponse, 'notice'>;

interface Event extends Response {
  readonly record?: v1.Record__Output | null;
}

const { decode, encode } = HosterService.rpc_session_stream.response;

/** A stream of records on its way to its reader, which faults can reach. */
export class Outgoing<Res extends Response> implements StreamWriter<Res> {
  readonly #out: StreamWriter<Res>;
  readonly #events: OutgoingEvents;
  readonly #broken: Promise<void>;
  #breakOff!: (error: CabstandError | undefined) => void;
  session = '';
  #newest: Encoded | undefined;
  #spoils: 'ahead' | 'unknown' | undefined;
  #silent = false;

  constructor(out: StreamWriter<Res>, events: OutgoingEvents) {
    this.#out = out;
    this.#events = events;
    this.#broken = new Promise((resolve, reject) => {
      this.#breakOff = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.#broken.catch(() => undefined);
  }

  /** Runs the call's handler, until that is through or the stream is broken off. */
  async run(call: ServerCall, handle: (call: ServerCall) => Promise<void>): Promise<void> {
    using linked = linkSignals([call.signal]);
    try {
      const handled = handle({ ...call, signal: linked.signal });
      handled.catch(() => undefined);
      await Promise.race([handled, this.#broken]);
    } finally {
      this.#silent = true;
      linked.abort();
    }
    if (call.signal.aborted) throw abortReason(call.signal);
  }

  breakOff(error: CabstandError | undefined): void {
    this.#silent = true;
    this.#breakOff(error);
  }

  /** The next record is sent as the one behind it, or with a body that nobody knows. */
  spoil(how: 'ahead' | 'unknown'): void {
    this.#spoils = how;
  }

  stall(): void {
    this.#silent = true;
  }

  repeat(): void {
    if (this.#newest !== undefined) this.#out.push(this.#newest);
  }

  push(message: Res | Encoded): boolean {
    if (!(message instanceof Encoded)) return this.#event(message, message);
    const { more, ...first } = decode(message.bytes);
    if (more.length === 0) return this.#event(first, message);
    // Each event of a bundle is sent alone: faults strike between any two.
    let room = true;
    for (const event of [first, ...more]) room = this.#event(event, new Encoded(encode(event)));
    return room;
  }

  #event({ record, notice }: Event, message: Res | Encoded): boolean {
    if (this.#silent) return true;
    if (notice?.opened) {
      this.session = notice.opened.session_id ?? '';
      this.#events.opened(this.session);
    }
    if (!record || !(message instanceof Encoded)) return this.#out.push(message);
    const spoils = this.#spoils;
    this.#spoils = undefined;
    // Where none follows nobody could see that one is missing: this one comes as the one behind it.
    if (spoils === 'ahead') return this.#out.push(behind(record));
    this.#newest = message;
    const room = this.#out.push(spoils === undefined ? message : unknown(record));
    this.#events.record(record);
    return room;
  }

  async write(message: Res | Encoded): Promise<void> {
    if (!this.push(message)) await this.drained();
  }

  drained(): Promise<void> {
    return this.#out.drained();
  }
}

function behind(record: v1.Record__Output): Encoded {
  const position = record.position + 1;
  return new Encoded(encode({ record: { ...record, position } }));
}

/** The record with none of the bodies that there are: to a client it is as one of a later version. */
function unknown({ position, turn, epoch }: v1.Record__Output): Encoded {
  return new Encoded(encode({ record: { position, turn, epoch } }));
}
