export interface Credit {
  readonly records: number;
  readonly bytes: number;
}

/**
 * Keeps the engine from producing more than the journal has room for: what is kept and what the
 * engine may still produce never exceed the limit together. (Bytes can, by one record: the engine
 * learns the size of a record by making it.)
 *
 * Credit is given in portions of half the window, so that records do not each cost a message.
 */
export class CreditWindow {
  readonly #limit: Credit;
  /** What the engine may still produce; negative after a revocation, for what was under way. */
  #records = 0;
  #bytes = 0;

  constructor(limit: Credit) {
    this.#limit = limit;
  }

  get outstanding(): Credit {
    return { records: this.#records, bytes: this.#bytes };
  }

  /** The engine has produced one record. */
  used(bytes: number): void {
    this.#records -= 1;
    this.#bytes -= bytes;
  }

  /** What to give now that this much is kept; undefined if it is not worth a message. */
  grant(keptRecords: number, keptBytes: number): Credit | undefined {
    const { records: maxRecords, bytes: maxBytes } = this.#limit;
    if (this.#records > maxRecords / 2 && this.#bytes > maxBytes / 2) return undefined;
    const records = Math.max(0, maxRecords - keptRecords - this.#records);
    const bytes = Math.max(0, maxBytes - keptBytes - this.#bytes);
    if (records === 0 && bytes === 0) return undefined;
    // While the engine has some of both, a small portion can wait; when it stands still, none can.
    const running = this.#records > 0 && this.#bytes > 0;
    if (running && records < portion(maxRecords) && bytes < portion(maxBytes)) return undefined;
    this.#records += records;
    this.#bytes += bytes;
    return { records, bytes };
  }

  /** Takes back what is unused: the engine stops at its next step. Undefined if there is nothing. */
  revoke(): Credit | undefined {
    if (this.#records <= 0 && this.#bytes <= 0) return undefined;
    const credit = { records: -Math.max(0, this.#records), bytes: -Math.max(0, this.#bytes) };
    this.#records += credit.records;
    this.#bytes += credit.bytes;
    return credit;
  }

  /** The engine is a new one: it has no credit. */
  reset(): void {
    this.#records = 0;
    this.#bytes = 0;
  }
}

function portion(limit: number): number {
  return Math.max(1, Math.floor(limit / 4));
}
