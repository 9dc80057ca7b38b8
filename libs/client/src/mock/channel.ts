import { CabstandError } from '@cabstand/core';
import { EventQueue } from '../protocol/event-queue';
import type { ChannelMessage, ChannelStart, SessionChannel } from '../protocol/types';
import type { MockHoster } from './hoster';
import type { MockSession } from './session';

/** Events that wait for a reader before the mocked model does. */
export const QUEUE = 16;

/** A whole session at a mocked hoster on one stream. */
export class MockChannel extends EventQueue implements SessionChannel {
  readonly #hoster: MockHoster | undefined;
  readonly #session: MockSession | undefined;

  /** @param reach gives the hoster, or throws why it cannot be reached */
  constructor(reach: () => MockHoster, start: ChannelStart) {
    super(QUEUE, () => {
      if (this.#session !== undefined) this.#hoster?.left(this.#session, this);
    });
    try {
      const hoster = reach();
      const session = start.kind === 'open' ? hoster.open(start) : hoster.find(start.sessionId);
      session.claim(start.epoch);
      this.#hoster = hoster;
      this.#session = session;
      if (start.kind === 'attach') hoster.attach(session, this, start.fromPosition);
      else hoster.attach(session, this, (start.resume?.deliveredPosition ?? -1) + 1);
    } catch (thrown) {
      this.end(CabstandError.from(thrown));
    }
  }

  send(message: ChannelMessage): boolean {
    if (this.ended) return true;
    try {
      this.#take(message);
    } catch (thrown) {
      this.end(CabstandError.from(thrown));
    }
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  #take(message: ChannelMessage): void {
    const hoster = this.#hoster;
    const session = this.#session;
    if (hoster === undefined || session === undefined) return;
    switch (message.kind) {
      case 'turn':
        hoster.startTurn(session, message);
        return;
      case 'part':
        hoster.part(session, message);
        return;
      case 'ack':
        session.acknowledge(message.position);
        return;
      case 'cancel':
        hoster.cancel(session, message.turn);
        return;
      case 'handover':
        void hoster.handover(session);
        return;
      case 'close':
        hoster.close(session);
        this.push({ type: 'closed', reason: 'stopped', error: undefined });
        this.end();
    }
  }
}
