import { CabstandError, abortable } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { TraceContext } from '@cabstand/rpc';
import type { ProtocolEvent, RecordEvent } from '../protocol/events';
import type { EventSource, SessionChannel, Target, TurnInput } from '../protocol/types';
import type { Timeouts } from '../timeouts';
import { closedError, isGone } from './endings';
import { Group } from './group';
import { Watchdog } from './watchdog';

/** The live input of a turn, to those who send it. */
export interface LiveInputSource {
  /** A channel took the turn: send the parts; all of them where the hoster starts over. */
  readonly started: (channel: SessionChannel, resumed: boolean) => void;
  readonly accepted: (nextPart: number, wanted?: number) => void;
  readonly applied: (sequence: number, position: number) => void;
  readonly checkpoint: (position: number) => void;
  /** Whether the parts are still here that another hoster would need. */
  readonly replayable: () => boolean;
  /** The turn runs, and will not be taken elsewhere. */
  readonly forget: () => void;
  /** Whether silence is as it should be. */
  readonly paused: () => boolean;
  readonly watch: (watchdog: Watchdog) => void;
}

/** What a turn is, to the core. */
export interface TurnSpec {
  /** Undefined for the rest of a turn that runs, of which this process does not have the input. */
  readonly input: TurnInput | undefined;
  /** Nobody changes the memory of the input. Default false. */
  readonly shared?: boolean;
  /** Chunks that the process before this one had. Default 0. */
  readonly chunksBefore?: number;
  /** Set for a turn whose input comes in parts. */
  readonly live?: LiveInputSource;
  readonly trace?: TraceContext | undefined;
}

/** What a turn's stream needs of its session. */
export interface TurnHost {
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly durable: boolean;
  /** Whether silence is as it should be: modules speak when they like. */
  readonly patient: boolean;
  /** Those that were not here before. Throws NODE_BAD_REPLY where one cannot be. */
  accept(records: readonly RecordEvent[], turn: ActiveTurn): readonly RecordEvent[];
  /** What is not a record. Throws where the session has ended. */
  notice(event: Exclude<ProtocolEvent, RecordEvent>, turn: ActiveTurn): void;
  /** A stream that goes on where this one broke. Throws where there is none: the session is lost. */
  regain(turn: ActiveTurn, error: CabstandError): Promise<SessionChannel>;
}

/** A wait may take this many times as long as the longest one before it. */
const STALL_FACTOR = 5;

/**
 * The records of one turn, from whichever stream brings them: where one breaks, a durable session's
 * turn waits for the next one, and its reader notices nothing but time.
 */
export class ActiveTurn {
  readonly turn: number;
  readonly live: LiveInputSource | undefined;
  readonly watchdog: Watchdog;
  /** The position at which it begins. */
  readonly position: number;
  /** Chunks of it that the process before this one had. */
  readonly chunksBefore: number;
  /** All its chunks so far, those before included. */
  chunks: number;
  /** What it is part of. */
  readonly trace: TraceContext | undefined;
  /** Undefined once the turn runs if it was too much to keep. */
  input: TurnInput | undefined;
  /** Its caller wants it to end. */
  cancelled = false;
  /** A hoster has sent a record of it. */
  taken = false;
  /** The hoster that has it, or is asked to. */
  node: Target | undefined;
  /** Called when its hoster says that it computes. */
  onProgress: (() => void) | undefined;
  readonly #host: TurnHost;
  #source: EventSource | undefined;
  readonly #group = new Group();
  /** Accepted, and not yet given to its reader. */
  #ready: RecordEvent[] = [];
  /** Its end has come. */
  #ended = false;
  #broken: CabstandError | undefined;
  #recovers = false;
  /** A notice has come since the stream began. */
  #opened = false;
  /** No record has come since the stream began. */
  #fresh = true;
  #waitSince = 0;
  #longestWaitMs = 0;
  #arrival: Promise<void> | undefined;

  constructor(host: TurnHost, turn: number, position: number, spec: TurnSpec) {
    this.#host = host;
    this.turn = turn;
    this.position = position;
    this.input = spec.input;
    this.chunksBefore = spec.chunksBefore ?? 0;
    this.chunks = this.chunksBefore;
    this.live = spec.live;
    this.trace = spec.trace;
    this.watchdog = new Watchdog({
      clock: host.clock,
      paused: () => this.#opened && (host.patient || spec.live?.paused() === true),
    });
    spec.live?.watch(this.watchdog);
  }

  /** What it is read from now. */
  get source(): EventSource | undefined {
    return this.#source;
  }

  /** Whether records are here that its reader has not asked for. */
  get readAhead(): boolean {
    return this.#ready.length > 0;
  }

  /** Whether a failure of the stream is its session's to mend. Until then it is thrown. */
  set recovers(value: boolean) {
    this.#recovers = value;
  }

  /** It is read from this stream from now on. */
  use(source: EventSource, node?: Target): void {
    this.#source = source;
    this.node = node ?? this.node;
    this.#group.drop();
    this.#broken = undefined;
    this.#opened = false;
    this.#fresh = true;
  }

  /** Waits for the first record, which `poll` then gives. On failure the stream is cancelled. */
  async begin(signal: AbortSignal): Promise<void> {
    while (!this.#fill()) await this.wait(signal);
  }

  /** Reads on for somebody who waits for what a record tells, while its reader may not read. */
  async lookAhead(most: number, wanted: () => boolean): Promise<void> {
    while (wanted() && !this.#ended && this.#ready.length < most)
      if (!this.#fill()) await this.wait(undefined);
  }

  /** The next record, if it is here. A failure shows in `wait`. */
  poll(): RecordEvent | undefined {
    if (this.#ready.length === 0) this.#fill();
    const record = this.#ready.shift();
    if (record?.body === 'chunk') this.chunks++;
    return record;
  }

  /** Takes the next records that belong together off the stream. Answers whether there were any. */
  #fill(): boolean {
    const source = this.#source;
    if (source === undefined || this.#broken !== undefined) return false;
    try {
      for (;;) {
        const event = source.poll();
        if (event === undefined) return false;
        if (event.type !== 'record') {
          this.watchdog.touch();
          this.#opened = true;
          if (event.type === 'progress') this.onProgress?.();
          this.#host.notice(event, this);
          continue;
        }
        this.#checkGone(event);
        const whole = this.#group.add(event);
        if (whole === undefined) this.watchdog.touch();
        else if (this.#accept(whole)) return true;
      }
    } catch (thrown) {
      this.break(CabstandError.from(thrown));
      return false;
    }
  }

  #accept(whole: readonly RecordEvent[]): boolean {
    const fresh = this.#host.accept(whole, this);
    if (fresh.length === 0) return false;
    this.watchdog.leave();
    this.#fresh = false;
    this.taken = true;
    for (const record of fresh) {
      if (record.body === 'end') this.#ended = true;
      this.#ready.push(record);
    }
    return true;
  }

  /**
   * Resolves when `poll` may have a record. Rejects with what the turn cannot go on after, or with the
   * signal's reason; the turn itself goes on in that case.
   */
  wait(signal: AbortSignal | undefined): Promise<void> {
    return abortable((this.#arrival ??= this.#arrive()), signal);
  }

  /** The stream is of no use any more. */
  break(error: CabstandError): void {
    this.#broken ??= error;
    this.#source?.cancel(error);
  }

  /** Nobody waits any more. */
  stop(): void {
    this.watchdog.stop();
  }

  /** Waits at least once, whatever becomes of it. */
  async #arrive(): Promise<void> {
    try {
      for (;;) {
        let error = this.#broken;
        if (error === undefined) {
          try {
            if (await this.#watched(this.#source)) {
              this.#waited();
              return;
            }
            error = endedEarly();
          } catch (thrown) {
            error = this.#broken ?? CabstandError.from(thrown);
          }
        }
        this.break(error);
        if (!this.#recovers) await Promise.reject(error);
        this.use(await this.#host.regain(this, error));
      }
    } finally {
      this.#arrival = undefined;
    }
  }

  /** Whether something came: the wait may not take too long. */
  #watched(source: EventSource | undefined): Promise<boolean> {
    if (source === undefined) return Promise.resolve(false);
    const { clock, timeouts } = this.#host;
    const limit = this.#fresh
      ? timeouts.firstMs
      : Math.max(timeouts.stallMs, this.#longestWaitMs * STALL_FACTOR);
    const what = this.#fresh ? 'no first record' : 'no further record';
    this.#waitSince = clock.monotonic();
    this.watchdog.enter(limit, (ms) => this.break(stalled(what, ms)));
    return source.wait();
  }

  #waited(): void {
    if (this.#fresh) return;
    const ms = this.#host.clock.monotonic() - this.#waitSince;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, ms);
  }

  /** A session that went with its turn: that end is not the turn's, which goes on elsewhere. */
  #checkGone(event: RecordEvent): void {
    if (event.body !== 'end' || !isGone(event)) return;
    const { error, reason } = event;
    // Waiting for room does not bring back a session that ended for want of it.
    if (this.#host.durable && this.position > 0 && error?.class === 'overload')
      throw new CabstandError('SESSION_EVICTED', error.message, { cause: error });
    if (!this.taken && error !== undefined) throw error;
    if (this.#host.durable) throw closedError(reason, error);
  }
}

export function endedEarly(): CabstandError {
  return new CabstandError(
    'NODE_BAD_REPLY',
    'the hoster ended the stream before the end of its turn',
  );
}

export function stalled(what: string, ms: number): CabstandError {
  return new CabstandError('NODE_STALLED', `${what} within ${Math.round(ms)} ms`, {
    metadata: { waited_ms: String(Math.round(ms)) },
  });
}
