/** A session of test/modules/ride.ts, and what its caller got of it. */
import type { MessageNotice, Session, TurnResult } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';

export interface RideOptions {
  readonly prompt?: string;
  readonly frames?: number;
  readonly pace?: number;
  readonly at?: number;
}

export class Ride {
  /** [number, sum of what commands added, chance]. */
  readonly frames: number[][] = [];
  readonly messages: MessageNotice[] = [];
  readonly notices: unknown[] = [];
  /** What came, in its order: numbers of frames, and of those that messages tell. */
  readonly order: unknown[] = [];
  readonly session: Session;
  readonly #turn: AsyncIterator<
    { tensor(name: string): Parameters<typeof float32Of>[0] },
    TurnResult
  >;

  constructor(session: Session, { prompt = '', ...parameters }: RideOptions = {}) {
    this.session = session;
    session.on('message', (message) => {
      this.messages.push(message);
      if (message.name === 'fives') this.order.push(message.message);
    });
    session.on('notice', ({ value }) => this.notices.push(value));
    this.#turn = session.runProtocolTask(prompt, undefined, { parameters: { ...parameters } });
  }

  /** Reads so many frames more, or to the end: answers how it ended, if it did. */
  async read(frames = Infinity): Promise<TurnResult | undefined> {
    for (let count = 0; count < frames; count++) {
      const next = await this.#turn.next();
      if (next.done === true) return next.value;
      const [number = NaN, ...rest] = float32Of(next.value.tensor('y'));
      this.frames.push([number, ...rest]);
      this.order.push(number);
    }
    return undefined;
  }

  get numbers(): (number | undefined)[] {
    return this.frames.map(([number]) => number);
  }

  named(name: string): unknown[] {
    return this.messages.filter((one) => one.name === name).map(({ message }) => message);
  }
}

/** What `order` is of a ride that lost nothing. */
export function wholeOrder(frames: number): unknown[] {
  return Array.from({ length: frames }, (_, frame) =>
    frame % 5 === 4 ? [frame, { frame }] : [frame],
  ).flat();
}
