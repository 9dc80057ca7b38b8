import type { ProtocolEvent, RecordEvent } from '../protocol/events';
import { STOP, UNNUMBERED } from '../protocol/types';
import type { Acker } from './acker';
import type { ActiveTurn } from './active-turn';
import { commandUnknown } from './commands';
import type { Commands } from './commands';
import { closedError } from './endings';
import type { Move } from './move';
import type { Recovery } from './recovery';
import type { CoreContext, Standing } from './standing';

/** Acks of a durable session whose hoster does not say how often it wants them. */
const DURABLE_ACK_EVERY = 16;

/** What becomes of the events of a turn's stream, before anybody is given its records. */
export class Intake {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #parts: {
    readonly move: Move;
    readonly recovery: Recovery;
    readonly acker: Acker;
    readonly commands: Commands;
  };

  /** The newest command without a number was `stop`: its result follows. */
  #stops = false;
  /** The newest stream that a hoster has answered. */
  #openedOn: ActiveTurn['source'];

  constructor(
    context: CoreContext,
    standing: Standing,
    parts: { move: Move; recovery: Recovery; acker: Acker; commands: Commands },
  ) {
    this.#context = context;
    this.#standing = standing;
    this.#parts = parts;
  }

  /**
   * Records that belong together, without those that were here before. Throws NODE_BAD_REPLY for what
   * cannot be, and then none of them counts.
   */
  accept(records: readonly RecordEvent[], turn: ActiveTurn): readonly RecordEvent[] {
    const { guard, epochCounter, continuation, survival } = this.#standing;
    const { recovery, move } = this.#parts;
    const fresh = guard.acceptAll(records, turn.turn, epochCounter);
    if (fresh.length === 0) return fresh;
    for (const record of fresh) {
      continuation.arrived(record, survival);
      if (record.body === 'input') turn.live?.applied(record.sequence, record.position);
      if (record.sealed !== undefined && continuation.offer(record.sealed, guard.next))
        turn.live?.checkpoint(record.sealed.position);
      this.#command(record);
    }
    recovery.recordArrived();
    move.recordArrived();
    return fresh[0] !== undefined && fresh[0].position < this.#standing.from
      ? this.#leaveOut(fresh)
      : fresh;
  }

  /** Without those from before this process came, which is through with them. */
  #leaveOut(records: readonly RecordEvent[]): readonly RecordEvent[] {
    return records.filter(({ position, body }) => {
      if (position >= this.#standing.from || body === 'end') return true;
      this.#parts.acker.delivered(position, 0);
      return false;
    });
  }

  #command(record: RecordEvent): void {
    const { commands } = this.#parts;
    switch (record.body) {
      case 'command':
        if (record.sequence === UNNUMBERED) this.#stops = record.name === STOP;
        if (record.sequence !== UNNUMBERED || this.#stops) commands.applied(record.sequence);
        return;
      case 'result':
        if (record.sequence === UNNUMBERED && !this.#stops) return;
        commands.ended(record.sequence, record.error ?? { value: record.value });
        return;
      case 'end':
        if (record.goesOn === true) commands.turnOver();
        else commands.over(`the turn ended (${record.reason}) before its result`, record.error);
        return;
      default:
    }
  }

  /** A turn goes by a stream that is open already: whoever waits for word of that need not. */
  reused(): void {
    const { lastOpened, guard } = this.#standing;
    if (lastOpened !== undefined)
      this.#context.emit('opened', { ...lastOpened, position: guard.next });
    this.#parts.commands.streamReused();
  }

  /** Whether the turn's hoster has said that the session is open: before, it cannot know which commands were given. */
  hasOpened({ source }: ActiveTurn): boolean {
    return source !== undefined && source === this.#openedOn;
  }

  /** What is not a record. Throws where the session has ended. */
  notice(event: Exclude<ProtocolEvent, RecordEvent>, turn: ActiveTurn): void {
    const { emit, settings } = this.#context;
    const standing = this.#standing;
    const { acker, move, commands } = this.#parts;
    switch (event.type) {
      case 'opened':
        standing.joined(event);
        standing.openedOn(event.digest);
        standing.lastOpened = event;
        standing.survival = event.survival;
        acker.wish = {
          records: event.ackRecords || event.ackEvery || (settings.durable ? DURABLE_ACK_EVERY : 0),
          bytes: event.ackBytes || Infinity,
        };
        emit('opened', event);
        this.#openedOn = turn.source;
        if (event.survival === undefined)
          commands.refuse(({ name }) => commandUnknown(settings.model, name), STOP);
        commands.opened(event.nextCommand ?? commands.first);
        return;
      case 'queued':
        emit('queued', { position: event.position });
        return;
      case 'progress':
        emit('progress', { done: event.done, total: event.total });
        return;
      case 'module':
        emit('notice', { name: event.name, value: event.value, turn: turn.turn });
        return;
      case 'skipped':
        emit('skipped', { records: event.records });
        return;
      case 'draining':
        emit('draining', { deadlineMs: event.deadlineMs });
        // A session that survives nothing stays until the hoster goes.
        if (settings.durable && standing.survival !== 'none') move.begin(event.deadlineMs);
        return;
      case 'ackWanted':
        acker.wanted();
        return;
      case 'accepted':
        if (event.turn === turn.turn) turn.live?.accepted(event.nextPart, event.wanted);
        return;
      case 'checkpoint':
        if (!settings.durable) return;
        if (standing.continuation.offer(event.checkpoint, standing.guard.next))
          turn.live?.checkpoint(event.checkpoint.position);
        return;
      case 'closed':
        throw closedError(event.reason, event.error);
    }
  }
}
