import type { v1 } from '@cabstand/rpc';

/** Who asks something of a session. */
export interface Asking {
  readonly session_id?: string;
  readonly epoch?: v1.Epoch__Output | null;
}

/** Watches that a hoster gives no record to a consumer that it has fenced off. */
export class Fences {
  readonly #address: string;
  readonly #onViolation: (what: string) => void;
  readonly #highest = new Map<string, { readonly counter: number; readonly owner: string }>();

  constructor(address: string, onViolation: (what: string) => void) {
    this.#address = address;
    this.#onViolation = onViolation;
  }

  /** The hoster let this one in. */
  passed(asking: Asking): void {
    this.#check(asking, 'was let in');
    this.raised(asking);
  }

  /** The hoster did what this one asked. */
  raised(asking: Asking): void {
    const { id, counter, owner } = named(asking);
    const before = this.#highest.get(id);
    if (before === undefined || before.counter < counter) this.#highest.set(id, { counter, owner });
  }

  /** It gets a record. */
  record(asking: Asking): void {
    this.#check(asking, 'got a record');
  }

  #check(asking: Asking, what: string): void {
    const { id, counter, owner } = named(asking);
    const highest = this.#highest.get(id);
    if (highest === undefined || counter > highest.counter) return;
    if (counter === highest.counter && owner === highest.owner) return;
    this.#onViolation(
      `${this.#address}: epoch ${counter} of ${id} ${what} after epoch ${highest.counter}`,
    );
  }
}

function named({ session_id: id = '', epoch }: Asking) {
  return {
    id,
    counter: epoch?.counter ?? 0,
    owner: Buffer.from(epoch?.owner ?? []).toString('hex'),
  };
}
