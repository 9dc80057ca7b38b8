import { CabstandError } from '@cabstand/core';
import fc from 'fast-check';
import { Inbox } from './inbox';

test('everything added is taken once and in order, and the sender is called for room', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 8 }),
      fc.array(fc.boolean(), { maxLength: 200 }),
      async (limit, steps) => {
        let open = true;
        const inbox = new Inbox<number>(limit, 100, () => {
          open = true;
        });
        let added = 0;
        let taken = 0;
        for (const add of steps) {
          if (add && open) open = inbox.add(added++, 30);
          else if (!add) {
            const item = inbox.take();
            if (item !== undefined) expect(item).toBe(taken++);
          }
          expect(inbox.size).toBe(added - taken);
          expect(inbox.size).toBeLessThanOrEqual(Math.min(limit, 4));
          if (inbox.size === 0) expect(open).toBe(true);
        }
        inbox.end(undefined);
        while (await inbox.ready()) expect(inbox.take()).toBe(taken++);
        expect(taken).toBe(added);
      },
    ),
  );
});

test('what arrived before an error is delivered before it', async () => {
  const inbox = new Inbox<string>(4, 100, () => undefined);
  inbox.add('a', 1);
  inbox.end(new CabstandError('NODE_UNREACHABLE', 'gone'));
  await expect(inbox.ready()).resolves.toBe(true);
  expect(inbox.take()).toBe('a');
  await expect(inbox.ready()).rejects.toMatchObject({ reason: 'NODE_UNREACHABLE' });
});

test('two readers at once are a mistake that is named', async () => {
  const inbox = new Inbox<string>(4, 100, () => undefined);
  const first = inbox.ready();
  await expect(inbox.ready()).rejects.toMatchObject({ reason: 'INTERNAL' });
  inbox.end(undefined);
  await expect(first).resolves.toBe(false);
});
