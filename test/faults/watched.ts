import type { Session, SessionEvents } from '@cabstand/client';

/** A break that was mended, as the session tells it. */
export type Recovery = SessionEvents['recovered'][0];

const TRACED = 30;

/** A script that runs, as the harness sees it from outside. */
export abstract class Watched {
  abstract readonly name: string;
  abstract readonly model: string;
  /** What figures tell it under. */
  get group(): string {
    return this.model;
  }

  /** Within a turn, and the stream has got a record of it. */
  flowing = false;
  records = 0;
  /** When it got its newest record, or began. */
  lastRecordAt = performance.now();
  readonly recoveries: Recovery[] = [];
  /** What happened last, for somebody to see why it failed. */
  readonly trace: string[] = [];
  /** What waits for the next record. */
  readonly #waiting: ((at: number) => void)[] = [];
  protected session: Session | undefined;

  /** Address of the hoster that has it. */
  get node(): string | undefined {
    return this.session?.node?.address;
  }

  /** Of the next record. */
  get position(): number | undefined {
    return this.session?.position;
  }

  /** Calls back with the time of the next record. */
  onNextRecord(callback: (at: number) => void): void {
    this.#waiting.push(callback);
  }

  note(what: string): void {
    const at = `${(performance.now() / 1000).toFixed(3)} s`;
    const where = `${this.node ?? 'nowhere'}, position ${String(this.position)}`;
    if (this.trace.push(`${at} (${where}) ${what}`) > TRACED) this.trace.shift();
  }

  protected follow(session: Session): void {
    this.session = session;
    session.on('opened', () => this.note(`opened ${session.id}`));
    session.on('retry', ({ error, node }) =>
      this.note(`retry after ${String(node?.address)}: ${error.reason} ${error.message}`),
    );
    session.on('draining', () => this.note('draining'));
    session.on('recovering', ({ cause }) =>
      this.note(`recovering: ${cause.reason} ${cause.message}`),
    );
    session.on('recovered', (notice) => {
      this.recoveries.push(notice);
      this.note(`recovered after ${String(Math.round(notice.gapMs))} ms`);
    });
    session.on('failed', (error) => this.note(`failed: ${error.reason} ${error.message}`));
    session.on('turnEnd', ({ turn, reason }) => this.note(`turn ${String(turn)} ${reason}`));
  }

  protected seen(): void {
    this.flowing = true;
    this.records++;
    this.lastRecordAt = performance.now();
    for (const callback of this.#waiting.splice(0)) callback(this.lastRecordAt);
  }
}
