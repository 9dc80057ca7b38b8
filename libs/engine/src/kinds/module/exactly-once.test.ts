/** Sessions that die at any moment, and what their consumers have in the end. */
import type { Survival } from '@cabstand/model';
import { checkLineage, played, undisturbed } from './exactly-once.fixture';
import type { Chance, Schedule, Told } from './exactly-once.fixture';
import { ReplayLog } from './replay';
import { ModuleSession } from './session';
import { Snapshots } from './snapshots';

/** More of them by hand: SCHEDULES=2000. */
const SCHEDULES = Number(process.env.SCHEDULES ?? 60);
const FIRST = Number(process.env.FIRST_SCHEDULE ?? 1);

interface Sum {
  whole: number;
  records: number;
  deaths: number;
  readonly failures: string[];
}

async function many(
  survival: Survival,
  chance: Chance,
  count: number,
  check: (told: Told) => Promise<void> | void = () => undefined,
  { deaths = 12, turns = 1, cancels = false }: Partial<Schedule> = {},
): Promise<Sum> {
  const sum: Sum = { whole: 0, records: 0, deaths: 0, failures: [] };
  for (let seed = FIRST; seed < FIRST + count; seed += 1) {
    const schedule: Schedule = { seed, survival, chance, deaths, turns, cancels };
    try {
      const told = await played(schedule);
      checkLineage(told.turns);
      await check(told);
      sum.whole += 1;
      sum.records += told.turns.flat().length;
      sum.deaths += told.deaths;
    } catch (error) {
      sum.failures.push(`${seed}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (process.env.SCHEDULES !== undefined)
    process.stderr.write(
      `${survival} ${chance} ${turns}: ${sum.whole} of ${count}, ${sum.records} records, ${sum.deaths} deaths\n`,
    );
  return sum;
}

const sameAsUndisturbed =
  (chance: Chance) =>
  async (told: Told): Promise<void> => {
    const turns = await undisturbed(told, chance);
    expect(turns).toEqual(told.turns);
  };

test.each<Chance>(['none', 'recorded', 'seeded'])(
  'replay, chance %s: what a consumer has is what one life would have given',
  async (chance) => {
    const sum = await many('replay', chance, SCHEDULES, sameAsUndisturbed(chance));
    expect(sum.failures).toEqual([]);
    expect(sum.deaths).toBeGreaterThan(SCHEDULES);
  },
  600_000,
);

test.each<Chance>(['recorded', 'bare'])(
  'commit, chance %s: what a consumer has is of one lineage',
  async (chance) => {
    const sum = await many('commit', chance, SCHEDULES);
    expect(sum.failures).toEqual([]);
    expect(sum.deaths).toBeGreaterThan(SCHEDULES);
  },
  600_000,
);

describe('several turns, with deaths between them too', () => {
  test.each<Chance>(['none', 'recorded', 'seeded'])(
    'replay, chance %s: what a consumer has of each is what one life would have given',
    async (chance) => {
      const check = sameAsUndisturbed(chance);
      const sum = await many('replay', chance, SCHEDULES, check, { turns: 3 });
      expect(sum.failures).toEqual([]);
      expect(sum.deaths).toBeGreaterThan(SCHEDULES);
    },
    600_000,
  );

  test.each<[Survival, Chance, boolean]>([
    ['commit', 'recorded', false],
    ['commit', 'bare', false],
    ['commit', 'bare', true],
    ['replay', 'recorded', true],
  ])(
    '%s, chance %s, turns cancelled: %s: what a consumer has is of one lineage',
    async (survival, chance, cancels) => {
      const sum = await many(survival, chance, SCHEDULES, undefined, { turns: 5, cancels });
      expect(sum.failures).toEqual([]);
      expect(sum.deaths).toBeGreaterThan(SCHEDULES);
    },
    600_000,
  );
});

test('without deaths no survival is needed', async () => {
  const sum = await many('none', 'bare', 10, undefined, { deaths: 0 });
  expect(sum.failures).toEqual([]);
});

test('replay of what is not the same the second time is lost by name, and never mixed', async () => {
  const sum = await many('replay', 'bare', 30);
  // A session that never died within its records had nothing to repeat.
  expect(sum.failures.length).toBeGreaterThan(20);
  for (const failure of sum.failures) expect(failure).toMatch(/SESSION_LOST.*not_deterministic/);
});

describe('each rule is needed', () => {
  afterEach(() => jest.restoreAllMocks());

  const broken = async (survival: Survival = 'replay'): Promise<number> =>
    (await many(survival, 'recorded', 30)).failures.length;

  test('a checkpoint has no number', async () => {
    const call = Reflect.get(ModuleSession.prototype, 'call') as (
      ...values: unknown[]
    ) => Promise<never>;
    jest.spyOn(ModuleSession.prototype, 'call').mockImplementation(function (
      this: ModuleSession,
      scope,
      name,
      run,
    ) {
      return Reflect.apply<ModuleSession, unknown[], Promise<never>>(call, this, [
        scope,
        name,
        run,
        true,
      ]);
    });
    expect(await broken()).toBeGreaterThan(0);
  });

  test('a command is given again at its own call', async () => {
    const command = Reflect.get(ReplayLog.prototype, 'command');
    jest.spyOn(ReplayLog.prototype, 'command').mockImplementation(function (
      this: ReplayLog,
      point,
    ) {
      return Reflect.apply(command, this, [point + 1]) ?? Reflect.apply(command, this, [point]);
    });
    expect(await broken()).toBeGreaterThan(0);
  });

  test('what was saved holds only until the author is given more', async () => {
    jest.spyOn(Snapshots.prototype, 'pass').mockImplementation(() => undefined);
    expect(await broken()).toBeGreaterThan(0);
  });
});
