import type { CabstandError } from '@cabstand/core';
import type { Computation } from './engine/computation';
import { stopOf } from './engine/engine-ends';
import { attachedAnew, endedError, movedError, outlived, unmovable } from './ended-error';
import type { InputRoom } from './input/input-room';
import { Leaving } from './leaving';
import type { LifeSigns } from './life-signs';
import type { Delivery } from './records/delivery';
import { ReaderState } from './records/reader-state';
import type { CheckpointSender } from './resume/checkpoint-sender';
import { compareEpoch, fenced } from './resume/epoch';
import type { SessionFacts } from './session-facts';
import type { SessionDeps } from './session-init';
import type { Viewers } from './viewers/viewers';
import type { Attachment, Checkpoint, Consumer, Epoch, SessionEnd } from './types';

/** What stands and falls with the session's reader. */
export interface ReadershipParts {
  readonly deps: SessionDeps;
  readonly delivery: Delivery;
  readonly computation: Computation;
  readonly checkpoints: CheckpointSender;
  readonly room: InputRoom;
  readonly signs: LifeSigns;
  readonly viewers: Viewers;
}

/** The session that is read. */
type Read = SessionFacts & { readonly turnRuns: boolean; readonly movable: boolean };

/** The half of a session that faces its consumers: who reads it, by which right, and how it ends. */
export class Readership {
  readonly state: ReaderState;
  readonly #session: Read;
  readonly #parts: ReadershipParts;
  #epoch: Epoch;
  readonly #leaving: Leaving;
  /** A module was told to come to its end, as nobody wants more of it. */
  #closed = false;

  constructor(session: Read, epoch: Epoch, parts: ReadershipParts) {
    this.#session = session;
    this.#epoch = epoch;
    this.#parts = parts;
    this.state = new ReaderState(parts.deps.clock, () => this.tellReaders());
    this.#leaving = new Leaving(session.id, parts.delivery, (end) => this.close(end));
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** Somebody came or went. */
  tellReaders(): void {
    const { computation, viewers } = this.#parts;
    const consumer = this.state.streaming !== undefined;
    computation.readers = { consumer, viewers: viewers.count };
    this.#parts.deps.onReaders();
  }

  /** The consumer has sent something. Throws SESSION_ENDED. */
  heard(): void {
    this.#checkOpen();
    this.state.heard();
  }

  /** See `Session.claim`. */
  claim(epoch: Epoch): void {
    const before = this.#epoch;
    if (!this.#session.named || compareEpoch(before, epoch) === 'same') return;
    this.#epoch = epoch;
    this.#parts.checkpoints.again();
    this.#parts.deps.observe({ kind: 'epoch_raised', session: this.#session });
    this.#replace(() => fenced(epoch, before.counter));
  }

  /** See `Session.checkAttach`. */
  checkAttach(epoch: Epoch, from: number | undefined, servedEpoch = 0): void {
    this.#checkOpen();
    if (servedEpoch > this.#epoch.counter) throw outlived(this.#session.id);
    if (this.#session.named) compareEpoch(this.#epoch, epoch);
    if (from !== undefined) this.#parts.delivery.checkFrom(from);
  }

  /** See `Session.attach`. */
  attach(consumer: Consumer, epoch: Epoch, from: number | undefined): Attachment {
    this.checkAttach(epoch, from);
    const start = from ?? this.#parts.delivery.base;
    this.claim(epoch);
    this.#replace(attachedAnew);
    this.state.attach(consumer);
    if (this.#session.turnRuns) this.#parts.checkpoints.again();
    this.#parts.delivery.attach(consumer, start);
    this.#parts.signs.acknowledged();
    this.#parts.computation.roomMade();
    this.advance();
    this.#look();
    return {
      resume: () => {
        if (this.state.consumer !== consumer) return;
        this.#parts.delivery.resume();
        this.#parts.computation.roomMade();
        this.advance();
      },
      detach: (reason) => {
        if (this.state.consumer === consumer) this.#lost(reason);
      },
    };
  }

  /** See `Session.view`. */
  view(consumer: Consumer): Attachment {
    if (this.state.kind === 'ended') this.#checkOpen();
    return this.#parts.viewers.attach(consumer);
  }

  /** See `Session.handOver`. */
  async handOver(): Promise<Checkpoint | undefined> {
    this.#checkOpen();
    this.#leaving.check();
    if (!this.#session.movable) throw unmovable();
    const state = await this.#parts.computation.succession.freeze();
    const end = { reason: 'migrated', error: movedError(this.#session.id) } as const;
    this.#leaving.begin(end, 'read');
    // Sealed before: a session that has ended says nothing more.
    const checkpoint = this.#parts.checkpoints.leaving(state);
    this.advance();
    this.#look();
    return checkpoint;
  }

  /** The one turn of a module's session is over: so is the session, once its consumer has everything. */
  moduleEnded(end: SessionEnd): void {
    this.#parts.computation.commands?.settle(endedError(this.#session.id, end));
    this.#leaving.begin(end, this.#session.durable ? 'acknowledged' : 'read');
    if (this.#closed && this.state.streaming === undefined) this.abort(end);
    else this.#look();
  }

  /** Everything up to some position has arrived. */
  acknowledged(): void {
    this.#parts.signs.acknowledged();
    this.#parts.computation.roomMade();
    this.advance();
    this.#look();
  }

  /** Throws SESSION_ENDED where no other turn can follow. */
  checkNextTurn(): void {
    this.#leaving.check();
  }

  /** See `Session.close`. */
  close(how: SessionEnd): void {
    if (this.state.end !== undefined) return;
    const { end = how } = this.#leaving;
    const stop = stopOf(end);
    if (stop !== undefined && this.#parts.computation.stop(stop)) {
      // One that only has to make room may still be read.
      this.#closed ||= end.reason !== 'evicted' && end.reason !== 'timed_out';
      return;
    }
    const consumer = this.state.streaming;
    if (consumer === undefined || this.#parts.delivery.delivered) {
      this.abort(end);
      return;
    }
    this.#parts.computation.close(end);
    const { closeTimeoutMs } = this.#parts.deps.options;
    this.state.close(consumer, end, closeTimeoutMs, () => this.abort(end));
    this.#parts.room.wake();
  }

  /** Ends the session now, whatever its reader has. */
  abort(end: SessionEnd): void {
    if (this.state.kind === 'ended') return;
    const consumer = this.state.finish(end);
    this.#parts.deps.onOver();
    this.#parts.computation.close(end);
    this.#parts.delivery.clear();
    this.#parts.room.wake();
    this.#parts.deps.onEnded(end);
    consumer?.detached({ kind: 'ended', end });
    this.#parts.viewers.end(end);
  }

  /** After anything that may have made room. */
  advance(): void {
    const { consumer, end, streaming } = this.state;
    if (this.#session.durable && consumer !== undefined)
      this.#parts.checkpoints.offer(this.#parts.computation.rebuild.state, consumer);
    if (consumer !== undefined && end !== undefined && this.#parts.delivery.delivered) {
      this.abort(end);
      return;
    }
    if (streaming === undefined) {
      if (consumer === undefined && !this.#session.turnRuns) this.#parts.deps.onQuiet();
      return;
    }
    this.#parts.computation.grant();
    if (!this.#session.turnRuns && this.#parts.delivery.delivered) this.#parts.deps.onQuiet();
    this.#parts.room.look();
  }

  /** Records may have been read: a session that waits for that may end. */
  #look(): void {
    this.#leaving.look(this.state.kind === 'orphaned');
  }

  #checkOpen(): void {
    if (this.state.end !== undefined) throw endedError(this.#session.id, this.state.end);
  }

  /** The consumer that reads, if there is one, has to make way. */
  #replace(why: () => CabstandError): void {
    const consumer = this.state.streaming;
    if (consumer === undefined) return;
    this.#parts.delivery.detach();
    this.orphan();
    consumer.detached({ kind: 'replaced', error: why() });
  }

  /** The consumer went away of its own. */
  #lost(reason: 'cancelled' | 'timed_out'): void {
    const endsHere =
      this.#session.retention === 'call' ||
      (this.#session.retention === 'kept' &&
        (this.#session.turnRuns || !this.#parts.delivery.delivered));
    const { end = this.#closed ? this.#leaving.end : undefined } = this.state;
    if (end !== undefined || endsHere) {
      this.abort(end ?? { reason });
      return;
    }
    this.#parts.delivery.detach();
    this.orphan();
  }

  /** Nobody reads: the session ends when that is so for too long. */
  orphan(): void {
    this.#parts.computation.pause();
    const { orphanTimeoutMs, idleTimeoutMs } = this.#parts.deps.options;
    const underWay = this.#session.turnRuns || !this.#parts.delivery.delivered;
    const after = this.#session.durable && underWay ? orphanTimeoutMs : idleTimeoutMs;
    this.state.orphan(after, () => this.abort(this.#leaving.end ?? { reason: 'timed_out' }));
    this.#parts.deps.onQuiet();
  }
}
