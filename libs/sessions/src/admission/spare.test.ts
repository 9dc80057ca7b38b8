import fc from 'fast-check';
import type { Session } from '../session';
import { bytesHeld } from './held';
import { Spare } from './spare';

type Held = Pick<Session, 'principal'> & { heldBytes: number };

const asSession = (held: Held): Session => held as unknown as Session;

/** What a look at all that are there would find. */
class Naive {
  readonly #here: { readonly session: Session; readonly bytes: number }[] = [];

  put(session: Session): void {
    this.#here.push({ session, bytes: bytesHeld(session) });
  }

  remove(session: Session): void {
    const index = this.#here.findIndex((one) => one.session === session);
    if (index >= 0) this.#here.splice(index, 1);
  }

  has(session: Session): boolean {
    return this.#here.some((one) => one.session === session);
  }

  get size(): number {
    return this.#here.length;
  }

  get bytes(): number {
    return this.#here.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  firstOf(principal: string, chosen: ReadonlySet<Session>): Session | undefined {
    return this.#here.find(({ session }) => session.principal === principal && !chosen.has(session))
      ?.session;
  }

  countOf(principal: string): number {
    return this.#here.filter(({ session }) => session.principal === principal).length;
  }

  /** What the principal holds without those that are taken. */
  bytesOf(principal: string, taken: readonly Session[]): number {
    return this.#here
      .filter(({ session }) => session.principal === principal && !taken.includes(session))
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  countedFor(session: Session): number {
    return this.#here.find((one) => one.session === session)?.bytes ?? 0;
  }
}

const PRINCIPALS = ['alice', 'bob', 'carol', 'dave'];
const NOBODY: ReadonlySet<Session> = new Set();

const change = fc.record({
  which: fc.nat(11),
  what: fc.constantFrom('put', 'remove', 'grow', 'hold'),
  bytes: fc.nat(60_000),
  gives: fc.subarray(PRINCIPALS),
  chosen: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
});

it('finds what a look at all would find, whatever changes while they are there', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
      const held = Array.from({ length: 12 }, (_, index): Held => {
        return { principal: PRINCIPALS[index % 4] as string, heldBytes: 0 };
      });
      const sessions = held.map(asSession);
      const spare = new Spare();
      const naive = new Naive();
      for (const { which, what, bytes, gives, chosen } of changes) {
        const session = sessions[which] as Session;
        if (what === 'put' && !naive.has(session)) {
          spare.put(session);
          naive.put(session);
        } else if (what === 'remove') {
          spare.remove(session);
          naive.remove(session);
        } else if (what === 'grow') (held[which] as Held).heldBytes = bytes;
        expect([spare.size, spare.bytes]).toEqual([naive.size, naive.bytes]);
        const taken = new Set(chosen.map((index) => sessions[index] as Session));
        for (const principal of PRINCIPALS)
          expect(spare.firstOf(principal, taken)).toBe(naive.firstOf(principal, taken));
        checkFirst(spare, naive, taken, gives);
        if (what === 'hold') checkHolding(spare, naive, bytes);
      }
    }),
  );
});

/** The first of the principal that has most; of equals, of either. */
function checkFirst(
  spare: Spare,
  naive: Naive,
  taken: ReadonlySet<Session>,
  gives: readonly string[],
): void {
  const found = spare.first(taken, (principal) => gives.includes(principal));
  const able = gives.filter((principal) => naive.firstOf(principal, taken) !== undefined);
  if (found === undefined) {
    expect(able).toEqual([]);
    return;
  }
  expect(found).toBe(naive.firstOf(found.principal, taken));
  expect(able).toContain(found.principal);
  expect(naive.countOf(found.principal)).toBe(
    Math.max(...able.map((principal) => naive.countOf(principal))),
  );
}

/** Each of them is the first of whoever holds most then, and the last is needed; none is gone. */
function checkHolding(spare: Spare, naive: Naive, bytes: number): void {
  const found = spare.holding(bytes);
  let left = bytes;
  for (const [index, session] of found.entries()) {
    const before = found.slice(0, index);
    expect(left).toBeGreaterThan(0);
    const most = Math.max(...PRINCIPALS.map((principal) => naive.bytesOf(principal, before)));
    expect(naive.bytesOf(session.principal, before)).toBe(most);
    expect(session).toBe(naive.firstOf(session.principal, new Set(before)));
    left -= naive.countedFor(session);
  }
  if (left > 0) expect(found).toHaveLength(naive.size);
  expect(spare.holding(bytes).reduce((sum, one) => sum + naive.countedFor(one), 0)).toBe(
    found.reduce((sum, one) => sum + naive.countedFor(one), 0),
  );
  expect(spare.first(NOBODY)).toBe(spare.first(NOBODY));
}
