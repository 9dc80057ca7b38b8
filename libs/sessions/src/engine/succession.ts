import type { CabstandError } from '@cabstand/core';
import type { LiveFeed } from '../input/live-feed';
import type { ModuleRecords } from '../module/records';
import { liveStart } from '../resume/checkpoint-body';
import type { CheckpointBody } from '../resume/checkpoint-body';
import type { Rebuild } from '../resume/rebuild';
import type { Turns } from '../turns';
import type { SessionEnd } from '../types';
import type { ComputationInit } from './computation-init';
import { endOfDeath, stopOf } from './engine-ends';
import { Freeze } from './freeze';
import type { Intake } from './intake';
import type { EngineSlot } from './slot';
import type { Stops } from './stops';

/** What a computation is made of, as far as it changes with the engine. */
interface Parts {
  readonly slot: EngineSlot;
  readonly turns: Turns;
  readonly feed: LiveFeed;
  readonly rebuild: Rebuild;
  readonly intake: Intake;
  readonly stops: Stops;
  /** Undefined for models of other kinds. */
  readonly module: ModuleRecords | undefined;
}

/** How a session leaves its engine, or loses it, and goes on in the next one. */
export class Succession {
  readonly #init: ComputationInit;
  readonly #parts: Parts;
  readonly #freeze: Freeze;

  constructor(init: ComputationInit, parts: Parts) {
    this.#init = init;
    this.#parts = parts;
    this.#freeze = new Freeze(init.deps.clock, init.deps.options.freezeMs);
  }

  /** Whether computing stops for good at the next step boundary, or has. */
  get frozen(): boolean {
    return this.#freeze.frozen;
  }

  /** Whether the session waits for its model's next engine. */
  get waiting(): boolean {
    return this.#parts.slot.waiting;
  }

  /** Whether its turn may be what killed the engine, twice at the same position. */
  get suspected(): boolean {
    const { rebuild, intake } = this.#parts;
    return this.waiting && rebuild.deaths.suspects(intake.records.next);
  }

  /** The engine died or was taken away. Answers how the session ends; undefined where it goes on. */
  lost(error: CabstandError): SessionEnd | undefined {
    const { session, deps, delivery } = this.#init;
    const { slot, rebuild, intake, module } = this.#parts;
    const end = endOfDeath(error, session.model.status, {
      rebuilds: session.durable && !this.frozen && rebuild.state !== undefined,
      lost: session.durable ? module?.lostWithEngine : undefined,
    });
    if (end !== undefined) {
      this.close();
      return end;
    }
    module?.lost();
    if (this.#computes) rebuild.engineDied(intake.records.next);
    slot.wait(error);
    delivery.resetCredit();
    deps.onWaiting();
    return undefined;
  }

  /** Tries to go on in another engine. Answers whether it does. */
  retake(): boolean {
    const { slot, turns, feed, rebuild, intake, stops, module } = this.#parts;
    const { records, policy } = intake;
    const { state } = rebuild;
    if (state === undefined) return false;
    const { session, deps, delivery } = this.#init;
    delivery.resetCredit();
    const { running } = turns;
    const before = records.next;
    records.moveTo(state.position);
    const done = slot.retake(state.data, (sequence) => {
      if (running === undefined) return;
      const within = !state.ended && state.turn === running.turn && state.data.byteLength > 0;
      const { content } = rebuild;
      const again = module?.replay(running.firstPosition, delivery.next);
      if (content !== undefined) sequence.startTurn(running.turn, content, within, again);
      running.live?.rewind(within ? liveStart(state) : { next: 0, reported: 0 });
    });
    if (done === undefined) {
      records.moveTo(before);
      return false;
    }
    policy.reset();
    module?.rewind(state);
    feed.pump();
    stops.again();
    deps.observe({ kind: 'rebuilt', session, cause: done.cause.reason, seconds: done.seconds });
    return true;
  }

  /**
   * Stops computing for good at a step boundary. Resolves with the newest state when nothing more
   * comes; records computed until then are in the journal.
   */
  async freeze(): Promise<CheckpointBody | undefined> {
    const { slot, turns, intake, rebuild } = this.#parts;
    const { sequence } = slot;
    if (!this.frozen && sequence !== undefined && turns.running !== undefined) {
      slot.credit(this.#init.delivery.revoke());
      const stopped = this.#freeze.begin(!intake.policy.ask());
      sequence.snapshot();
      await stopped;
    }
    this.close();
    return rebuild.state;
  }

  /** The engine gave a snapshot within a turn. */
  snapshot(): void {
    if (!this.#freeze.snapshot()) this.#parts.slot.sequence?.snapshot();
  }

  /** No snapshot of the turn needs to be waited for. */
  turnEnded(): void {
    this.#freeze.release();
  }

  /** `end`: of the session. */
  close(end?: SessionEnd): void {
    this.#parts.slot.leave(end && stopOf(end));
    this.#freeze.stop();
  }

  /** Whether the engine could have been at this session's work. */
  get #computes(): boolean {
    const { running } = this.#parts.turns;
    const { records, bytes } = this.#init.delivery.outstanding;
    return running !== undefined && running.live?.starved !== true && records > 0 && bytes > 0;
  }
}
