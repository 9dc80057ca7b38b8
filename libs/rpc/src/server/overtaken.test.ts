import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ReadAhead } from './read-ahead';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

interface Request {
  readonly stop: number;
}

/** Gives so many requests, and then nothing; none of them is kept. */
function stream(most: number): {
  readonly requests: AsyncIterator<Request>;
  readonly drained: () => boolean;
} {
  let given = 0;
  const requests: AsyncIterator<Request> = {
    next: async () => {
      if (given > most) throw new Error('nobody may ask for more than one ahead');
      given++;
      if (given > most) return await new Promise<never>(() => undefined);
      return { done: false, value: { stop: given } };
    },
  };
  return { requests, drained: () => given > most };
}

test('nothing is kept of what overtakes, however long there is no room', async () => {
  const MOST = 100;
  const seen: WeakRef<Request>[] = [];
  const { requests, drained } = stream(MOST);
  const ahead = new ReadAhead(requests, {
    overtake: (request) => {
      seen.push(new WeakRef(request));
      return true;
    },
    bytesOf: () => Infinity,
  });
  let make: () => void = () => undefined;
  const waited = ahead.until(new Promise<void>((resolve) => (make = resolve)));
  while (!drained()) await setImmediate();
  await setImmediate();
  collect();
  expect(seen).toHaveLength(MOST);
  // The newest one may still be in a register.
  expect(seen.filter((request) => request.deref() !== undefined).length).toBeLessThanOrEqual(1);
  make();
  await waited;
});
