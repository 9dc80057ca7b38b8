/** What holds at the end of every schedule. */
import { LONGEST_MS, World } from './world';
import type { Plan } from './world';

/** How it went. */
export interface Played {
  /** For each session how its consumers fared, the last owner last. */
  readonly sessions: readonly (readonly string[])[];
  /** Breaks that were made good. */
  readonly recovered: number;
}

/** Plays a schedule to the end of all sessions, and checks what was promised. */
export async function checked(plan: Plan): Promise<Played> {
  const world = new World(plan);
  await world.play(plan.ops);
  world.mend();
  const settled = (): boolean => world.alive.every(({ running }) => !running);
  await world.flow(settled);
  if (world.askAgain()) await world.flow(settled);
  const sessions = world.sessions.map(({ consumers }) => consumers.map(({ fate }) => fate));
  expect(world.violations.slice(0, 3)).toEqual([]);
  for (const fates of sessions) checkFates(fates, world.engineDeaths);
  await checkNothingLeft(world);
  let recovered = 0;
  for (const consumer of world.consumers) recovered += consumer.recovered;
  return { sessions, recovered };
}

/** Every stream is finished, or ends in one of very few errors. */
function checkFates(fates: readonly string[], engineDeaths: number): void {
  const allowed = new Set(['finished', 'left']);
  // Somebody else has it.
  if (fates.length > 1) allowed.add('EPOCH_FENCED');
  // Nobody can have it.
  if (engineDeaths > 1) allowed.add('TURN_POISONED');
  expect(fates.filter((fate) => !allowed.has(fate))).toEqual([]);
  if (!fates.includes('TURN_POISONED')) expect(fates).toContain('finished');
}

async function checkNothingLeft(world: World): Promise<void> {
  let closed = 0;
  for (const consumer of world.alive) void consumer.close().then(() => closed++);
  await world.flow(() => closed === world.alive.length);
  expect(closed).toBe(world.alive.length);
  await world.flow(() => world.network.calls.length === 0 && !world.ending);
  expect(world.network.calls.map(({ route }) => route)).toEqual([]);
  // Copies that were left behind where nobody came back to.
  for (const hoster of world.hosters) hoster?.fallSilent();
  await world.clock.advance(2 * LONGEST_MS);
  for (const hoster of world.hosters)
    expect(hoster?.leftovers()).toEqual({ sessions: 0, principals: 0, sequences: 0, timers: 0 });
  expect(world.consumers.map(({ clock }) => clock.pending)).toEqual(world.consumers.map(() => 0));
}
