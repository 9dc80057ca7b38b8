/** The life cycle of modules between real processes: its rows are those of docs/modules.md. */
import { refusalOf, scrape, total, until } from '@cabstand/testing';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { Ride, wholeOrder } from '../support/ride';
import type { RideOptions } from '../support/ride';

const JOURNAL = 64;

const MODELS = { ride: ride('replay'), neighbour: ride('none') };
let served: ModuleSubnet;

beforeAll(async () => {
  served = await ModuleSubnet.start(MODELS, {
    hosterConfig: { engines: { restart_seconds: 0.02 }, limits: { journal_records: JOURNAL } },
  });
}, 90_000);
afterAll(() => served[Symbol.asyncDispose]());

function take(options: RideOptions = {}, model = 'ride'): Ride {
  return new Ride(served.client.session(model), options);
}

async function seen(name: string, model = 'ride'): Promise<number> {
  return total(await scrape(served.subnet.hosters[0]!.admin), name, { model });
}

const engineOf = ({ messages: [began] }: Ride): { pid: number; loads: number } =>
  began?.message as { pid: number; loads: number };

test('`__init__` loads once; "without ever reloading weights"', async () => {
  const engines: unknown[] = [];
  for (let passenger = 0; passenger < 5; passenger++) {
    const one = take({ frames: 2 });
    expect(await one.read()).toMatchObject({ reason: 'completed' });
    engines.push(engineOf(one));
  }
  const { pid } = engines[0] as { pid: number };
  expect(engines).toEqual(Array.from({ length: 5 }, () => ({ pid, loads: 1 })));
  process.kill(pid, 'SIGKILL');
  const next = take({ frames: 2 });
  await next.read();
  expect(engineOf(next)).toMatchObject({ loads: 1 });
  expect(engineOf(next).pid).not.toBe(pid);
});

test('idle → session starts → running → ends → idle', async () => {
  const open = () => seen('cabstand_engine_sequences');
  const idle = () =>
    until('the model to be idle', async () => ((await open()) === 0 ? true : undefined));
  await idle();
  const one = take();
  expect(one.session.state).toBe('idle');
  await one.read(1);
  expect(one.session.state).toBe('open');
  expect(await one.session.status()).toMatchObject({ state: 'streaming' });
  await one.session.close();
  expect(one.session.state).toBe('closed');
  await idle();
  const next = take({ frames: 1 });
  expect(await next.read()).toMatchObject({ reason: 'completed' });
  expect(next.session.state).toBe('ended');
  expect((await refusalOf(new Ride(next.session).read())).reason).toBe('SESSION_ENDED');
});

test('start_session in a background thread, "no need to worry about blocking"', async () => {
  const told = () => seen('cabstand_engine_cpu_seconds_total');
  const blocked = take({ prompt: 'block' });
  const ended = blocked.read();
  await until('it to block', () => (blocked.named('blocks').length > 0 ? true : undefined));
  // Others are served, and its engine goes on to tell how it is.
  const before = await told();
  const neighbour = take({ frames: 50 }, 'neighbour');
  expect(await neighbour.read()).toMatchObject({ reason: 'completed' });
  await until('its engine to tell', async () => ((await told()) > before ? true : undefined));
  await blocked.session.cancelTurn();
  expect(await ended).toMatchObject({ reason: 'cancelled' });
  // The loop that never yields has seen the stop: its engine lives.
  const next = take({ frames: 1 });
  await next.read();
  expect(engineOf(next)).toEqual(engineOf(blocked));
});

test('should_stop / emit_block / send', async () => {
  const one = take({ frames: 400, pace: 0 });
  await one.read(1);
  const position = async () => (await one.session.status())?.position ?? 0;
  await until('emit to wait', async () => ((await position()) >= JOURNAL ? true : undefined));
  // Without the wait it would be over long before.
  await take({ frames: 20 }, 'neighbour').read();
  expect(await position()).toBeLessThanOrEqual(2 * JOURNAL);
  await one.read(200);
  process.kill(engineOf(one).pid, 'SIGKILL');
  expect(await one.read()).toMatchObject({ reason: 'completed' });
  expect(one.order).toEqual(wholeOrder(400));
  expect(one.named('began')).toHaveLength(1);
  // May be lost, but not told of what was not made yet.
  expect(one.notices.length).toBeGreaterThan(0);
  const stopped = take({ pace: 0 });
  await stopped.read(3);
  await stopped.session.cancelTurn();
  expect(await stopped.read()).toMatchObject({ reason: 'cancelled' });
});

test('session against model scope; car clean', async () => {
  const kept = take({ prompt: 'keep' });
  const error = await refusalOf(kept.read());
  expect(error).toMatchObject({ reason: 'MODULE_FAILED' });
  expect(error.message).toMatch(/TypeError.*passengers/);
  const [first, second] = [take({ frames: 100 }), take({ frames: 3 })];
  await first.read(1);
  await first.session.command('add', { by: 7 });
  await Promise.all([first.read(), second.read()]);
  expect(first.frames.at(-1)?.[1]).toBe(7);
  for (const [frame, sum] of second.frames) expect([frame, sum]).toEqual([frame, 0]);
  expect(second.numbers).toEqual([0, 1, 2]);
});

test('prompts, control inputs', async () => {
  const one = take();
  await one.read(1);
  const reading = one.read();
  const command = (name: string, args?: unknown) => one.session.command(name, args);
  const both = [command('add', { by: 1 }), command('add', { by: 2 })];
  expect(await Promise.all(both)).toMatchObject([{ sum: 1 }, { sum: 3 }]);
  const refused = await Promise.all([
    refusalOf(command('add', { by: -1 })),
    refusalOf(command('add', { by: 'two' })),
    refusalOf(command('fail')),
    refusalOf(command('sub', { by: 1 })),
  ]);
  expect(refused.map(({ reason }) => reason)).toEqual([
    ...['COMMAND_REJECTED', 'COMMAND_INVALID', 'COMMAND_FAILED', 'COMMAND_UNKNOWN'],
  ]);
  expect(refused[0].metadata).toMatchObject({ code: 'less' });
  expect(refused[2].message).toBe('Error: cannot open <path>');
  const { frame } = (await command('add', { by: 4 })) as { frame: number };
  await one.session.cancelTurn();
  await reading;
  // It holds from the frame on that the result names.
  for (const [number = NaN, sum = NaN] of one.frames.slice(frame - 1))
    expect([number, sum]).toEqual([number, number >= frame ? 7 : 3]);
  const page = await scrape(served.subnet.hosters[0]!.admin);
  const counted = (outcome: string) =>
    total(page, 'cabstand_commands_total', { model: 'ride', outcome });
  expect(['rejected', 'invalid', 'failed', 'unknown'].map(counted)).toEqual([1, 1, 1, 1]);
});

test('ends only by API or return', async () => {
  const returns = take({ frames: 2 });
  expect(await returns.read()).toMatchObject({ reason: 'completed' });
  const ended = (reason: string) =>
    scrape(served.subnet.hosters[0]!.admin).then((page) =>
      total(page, 'cabstand_sessions_ended_total', { model: 'ride', reason }),
    );
  const before = { stopped: await ended('stopped'), cancelled: await ended('cancelled') };
  const closed = take();
  await closed.read(1);
  await closed.session.close();
  const cancelled = take();
  await cancelled.read(1);
  await cancelled.session.cancelTurn();
  expect(await cancelled.read()).toMatchObject({ reason: 'cancelled' });
  await until('both ends to be counted', async () => {
    const all = [await ended('stopped'), await ended('cancelled')];
    return all[0] === before.stopped + 1 && all[1] === before.cancelled + 1 ? true : undefined;
  });
});
