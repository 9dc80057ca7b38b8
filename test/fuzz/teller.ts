import type { Random } from '../faults/random';
import type { Call, Outcome, Step, Target } from './call';
import { damage, mutate } from './mutate';
import { COMMON_METHODS, HOSTER_METHODS, ROUTER_METHODS } from './schema';
import type { MethodSchema } from './schema';
import { encode } from './wire';
import type { Fields } from './wire';

/** How a call is made. */
export interface Manner {
  readonly target: Target;
  readonly member?: Call['member'];
  /** Share of its messages that are mutated. Default 0: the call is valid. */
  readonly mutated?: number;
  /** Before each message as many turns have to end as are in front of it. */
  readonly turnByTurn?: boolean;
  /** How its caller ends it. Default `end`. */
  readonly ending?: 'end' | 'cancel' | 'none';
}

/** These end when their caller goes. */
const ENDLESS = new Set(['rpc_watch_nodes', 'Watch']);
const MOST_WAIT_MS = 40;
/** How long a call that never closes its side goes on, before it is cancelled. */
const OPEN_MS = 150;
/** Of the messages that are changed one in so many is damaged on the wire instead of in its fields. */
const DAMAGED = 4;
/** One signature in so many calls is a token instead. */
const TOKENS = 3;

const METHODS = new Map<string, MethodSchema>(
  [...ROUTER_METHODS, ...HOSTER_METHODS].map((method) => [method.name, method]),
);
for (const method of COMMON_METHODS) METHODS.set(method.path, method);

/** The method of a name; health's and reflection's by their paths. */
export function methodOf(name: string): MethodSchema {
  const method = METHODS.get(name);
  if (method === undefined) throw new Error(`no method ${name}`);
  return method;
}

/** Makes the calls of one story, and keeps them, so that they can be made again. */
export class Teller {
  readonly calls: Call[] = [];
  /** Valid turns that were asked for. */
  validTurns = 0;

  constructor(
    readonly random: Random,
    readonly seed: number,
    readonly story: number,
    readonly perform: (call: Call, teller: Teller) => Promise<Outcome>,
  ) {}

  /** A session id that no other story has. */
  get id(): string {
    return `fuzz-${String(this.seed)}-${String(this.story)}`;
  }

  /** Sends messages to a method as `manner` says, and waits for the end. */
  async call(name: string, messages: readonly Fields[], manner: Manner): Promise<Outcome> {
    const { random } = this;
    const method = methodOf(name);
    const { mutated = 0 } = manner;
    const steps: Step[] = [];
    let turns = 0;
    for (const [i, message] of messages.entries()) {
      if (manner.turnByTurn && message['turn'] !== undefined && turns++ > 0)
        steps.push({ do: 'turns', count: turns - 1 });
      const bytes =
        random.next() < mutated
          ? this.#changed(method.request, message, messages)
          : encode(method.request, message);
      if (i > 0 && mutated > 0 && random.int(0, 3) === 0) steps.push({ do: 'replies', count: i });
      steps.push({ do: 'send', bytes });
    }
    const endless = ENDLESS.has(method.name);
    const ending = endless && manner.ending !== 'none' ? 'cancel' : (manner.ending ?? 'end');
    if (ending === 'end') steps.push({ do: 'end' });
    else if (ending === 'none') steps.push({ do: 'wait', ms: OPEN_MS }, { do: 'cancel' });
    else {
      if (random.int(0, 1) === 0) steps.push({ do: 'end' });
      const wait = random.int(0, MOST_WAIT_MS);
      steps.push(
        random.int(0, 1) === 0 ? { do: 'wait', ms: wait } : { do: 'replies', count: wait / 4 },
        { do: 'cancel' },
      );
    }
    const call: Call = {
      ...{ target: manner.target, path: method.path, member: manner.member ?? 'client' },
      scheme: random.int(0, TOKENS) === 0 ? 'bearer' : 'signature',
      ...{ requestStream: method.requestStream, endless, steps },
    };
    this.calls.push(call);
    return this.perform(call, this);
  }

  #changed(name: string, message: Fields, all: readonly Fields[]): Buffer {
    const { random } = this;
    const other = encode(name, random.pick(all));
    if (random.int(1, DAMAGED) === 1) return damage(random, encode(name, message), other);
    let changed = mutate(random, name, message);
    while (random.int(0, 3) === 0) changed = mutate(random, name, changed);
    return encode(name, changed);
  }
}
