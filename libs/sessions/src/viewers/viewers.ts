import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { SessionOptionsWithDefaults } from '../options';
import type { Attachment, Consumer, JournalEntry, SessionEnd, SessionNotice } from '../types';
import { Recent } from './recent';
import { Viewer } from './viewer';

const NOBODY: ReadonlySet<Viewer> = new Set();

interface ViewersInit {
  readonly clock: Clock;
  readonly options: Pick<SessionOptionsWithDefaults, 'viewers' | 'viewerBytes' | 'closeTimeoutMs'>;
  /** The first position that will be produced. */
  readonly start: number;
  /** Somebody came or went. */
  readonly onCount?: () => void;
}

/**
 * Those who watch a session. Nothing of the session waits for them: they read copies of the newest records,
 * acknowledge nothing, and keep nothing alive.
 */
export class Viewers {
  readonly #init: ViewersInit;
  readonly #recent: Recent;
  /** `NOBODY` while nobody watches, as of nearly all sessions. */
  #viewers: ReadonlySet<Viewer> = NOBODY;
  /** Of a session that has ended: some may have a little left to read. */
  #end: SessionEnd | undefined;

  constructor(init: ViewersInit) {
    this.#init = init;
    this.#recent = new Recent(init.start, init.options.viewerBytes);
  }

  get count(): number {
    return this.#viewers.size;
  }

  /** Bytes of the records before this position. */
  bytesBelow(position: number): number {
    return this.#recent.bytesBelow(position);
  }

  /** Throws LIMIT_EXCEEDED where as many watch as may. */
  attach(consumer: Consumer): Attachment {
    const { viewers } = this.#init.options;
    if (this.#viewers.size >= viewers)
      throw new CabstandError(
        'LIMIT_EXCEEDED',
        `${this.#viewers.size} watch the session already: limits.viewers`,
        { metadata: { field: 'attach.role', limit: String(viewers) } },
      );
    const viewer = new Viewer(consumer, this.#recent);
    this.#viewers = new Set([...this.#viewers, viewer]);
    this.#init.onCount?.();
    viewer.pump();
    return {
      resume: () => {
        if (!this.#viewers.has(viewer)) return;
        viewer.resume();
        this.#letGo(viewer);
      },
      detach: () => this.#remove(viewer),
    };
  }

  /** The session's next record. */
  append(entry: JournalEntry): void {
    this.#recent.append(entry, this.#viewers.size > 0);
    for (const viewer of this.#viewers) viewer.pump();
  }

  /** Nothing comes for a while. */
  rest(): void {
    if (this.#viewers.size === 0) this.#recent.shrink();
  }

  notice(notice: SessionNotice): void {
    for (const viewer of this.#viewers) viewer.notice(notice);
  }

  /** The session has ended. Whoever is a little behind may read on for a moment. */
  end(end: SessionEnd): void {
    this.#end = end;
    for (const viewer of [...this.#viewers]) this.#letGo(viewer);
    if (this.#viewers.size === 0) return;
    const { clock, options } = this.#init;
    clock.setTimer(
      () => {
        for (const viewer of [...this.#viewers]) this.#letGo(viewer, true);
      },
      options.closeTimeoutMs,
      { unref: true },
    );
  }

  /** Tells it the end of the session, if that is all there is left. `late`: whatever is left. */
  #letGo(viewer: Viewer, late = false): void {
    if (this.#end === undefined || (!viewer.done && !late)) return;
    this.#remove(viewer);
    viewer.consumer.detached({ kind: 'ended', end: this.#end });
  }

  #remove(viewer: Viewer): void {
    if (!this.#viewers.has(viewer)) return;
    const left = [...this.#viewers].filter((one) => one !== viewer);
    this.#viewers = left.length === 0 ? NOBODY : new Set(left);
    if (left.length === 0) this.#recent.forget();
    this.#init.onCount?.();
  }
}
