/** Nothing of one session is there for the next. Real processes; `npm run test:module-memory` is the long one. */
import { ModuleSubnet } from '../support/module-subnet';
import { SEARCHER, searched } from '../support/searcher';

test('a session that looks for those before it finds what its author keeps on purpose, and no more', async () => {
  await using served = await ModuleSubnet.start({ searcher: SEARCHER });
  const { sessions } = served.client;
  for (let number = 0; number < 10; number++) expect(await searched(sessions, number)).toEqual([]);
  const together = Array.from({ length: 10 }, (_, i) => searched(sessions, 10 + i));
  for (const found of await Promise.all(together)) expect(found).toEqual([]);
  // It does look: what is kept at the top of the file is seen by all.
  await searched(sessions, 20);
  expect(await searched(sessions, 21, true)).toEqual(['passenger-20']);
}, 60_000);
