import { CabstandError, FakeClock, invalid } from '@cabstand/core';
import { STOP } from '../protocol/types';
import { Commands } from './commands';
import type { KeptCommands } from './commands';

/** Commands of a process, and what hosters were told of them, as `number name`. */
function bench(kept?: KeptCommands) {
  const told: string[] = [];
  const hoster = { open: false };
  const commands = new Commands(
    ({ number, name }) => {
      if (hoster.open) told.push(`${number} ${name}`);
      return Promise.resolve(hoster.open);
    },
    new FakeClock(),
    kept,
  );
  return {
    commands,
    results: [] as unknown[],
    run(name: string) {
      commands.run(name, undefined, undefined).then(
        (value) => this.results.push(value),
        () => undefined,
      );
    },
    /** Those that a hoster is told which expects `next`. */
    opened(next: number) {
      told.length = 0;
      hoster.open = true;
      commands.opened(next);
      return [...told];
    },
  };
}

const command = (number: number, name: string) => ({ number, name, arguments: '' });

describe('numbers of commands', () => {
  test.each<[what: string, next: number, told: readonly string[]]>([
    ['lacks all', 1, ['1 old', '2 older', '3 own']],
    ['has one of the process before', 2, ['2 older', '3 own']],
    ['has all of those', 3, ['3 own']],
    ['has more, which that process sent after its export', 5, ['5 own']],
    ['was revived from before what others sent', 0, ['0 old', '1 older', '2 own']],
  ])('after an import follow from what their hoster expects, which %s', (_what, next, told) => {
    const b = bench({ next: 3, waiting: [command(1, 'old'), command(2, 'older')] });
    b.run('own');
    expect(b.opened(next)).toEqual(told);
    b.run('later');
    expect(b.opened(next)).toEqual([...told, expect.stringMatching(/^\d later$/)]);
  });

  test('after a take-over by name are those that the hoster expects', () => {
    const b = bench({ next: 0, waiting: [] });
    b.run('own');
    expect(b.opened(7)).toEqual(['7 own']);
  });

  test('that no hoster was told of are guesses in the next process, too', () => {
    const b = bench({ next: 3, waiting: [command(2, 'old')] });
    b.run('own');
    const { kept } = b.commands;
    expect(kept).toEqual({
      ...{ next: 4, guessedFrom: 3 },
      waiting: [command(2, 'old'), command(3, 'own')],
    });
    expect(bench(kept).opened(5)).toEqual(['5 own']);
    b.opened(5);
    expect(b.commands.kept).toEqual({
      next: 6,
      waiting: [command(2, 'old'), command(5, 'own')],
    });
  });

  test('that hosters have are not told again, and those with a record keep theirs', () => {
    const b = bench();
    for (const name of ['a', 'b', 'c']) b.run(name);
    expect(b.opened(0)).toEqual(['0 a', '1 b', '2 c']);
    b.commands.applied(0);
    expect(b.opened(2)).toEqual(['2 c']);
    // It has forgotten the record of the first one: no other one takes its number.
    expect(b.opened(0)).toEqual(['1 b', '2 c']);
    expect(b.commands.first).toBe(1);
  });

  test('follow what a hoster expects that was revived from before what others sent', async () => {
    const b = bench({ next: 0, waiting: [] });
    b.run('a');
    b.run('b');
    expect(b.opened(5)).toEqual(['5 a', '6 b']);
    expect(b.opened(3)).toEqual(['3 a', '4 b']);
    b.commands.ended(3, { value: 'of a' });
    await Promise.resolve();
    expect(b.results).toEqual(['of a']);
    expect(b.commands.first).toBe(4);
  });

  test('are no concern of `stop`, which is told to each hoster', () => {
    const b = bench({ next: 3, waiting: [] });
    b.run(STOP);
    b.run('own');
    expect(b.opened(4)).toEqual(['-1 stop', '4 own']);
    expect(b.opened(5)).toEqual(['-1 stop']);
  });

  test('have no hole where a hoster takes one of them not at all', async () => {
    const clock = new FakeClock();
    const hoster = { expects: 0, took: [] as string[] };
    const commands = new Commands(
      ({ number, name }) => {
        if (number !== hoster.expects)
          return Promise.reject(new CabstandError('INVALID_ARGUMENT', 'a gap'));
        if (name === 'large')
          return Promise.reject(new CabstandError('COMMAND_INVALID', 'it is too large'));
        hoster.expects++;
        hoster.took.push(name);
        return Promise.resolve(true);
      },
      clock,
      undefined,
    );
    commands.opened(0);
    const results = ['a', 'large', 'b', 'c'].map((name) =>
      commands.run(name, undefined, undefined).catch((error: unknown) => error),
    );
    expect(await results[1]).toMatchObject({ reason: 'COMMAND_INVALID' });
    await clock.advance(1000);
    expect(hoster.took).toEqual(['a', 'b', 'c']);
    for (const [number, name] of hoster.took.entries()) commands.ended(number, { value: name });
    expect(await Promise.all([results[0], results[2], results[3]])).toEqual(['a', 'b', 'c']);
    expect(commands.first).toBe(3);
  });

  test.each<[reason: 'LIMIT_EXCEEDED' | 'MESSAGE_TOO_LARGE' | 'INVALID_ARGUMENT']>([
    ['LIMIT_EXCEEDED'],
    ['MESSAGE_TOO_LARGE'],
    ['INVALID_ARGUMENT'],
  ])('are free again where a hoster refuses one for good, with %s', async (reason) => {
    const clock = new FakeClock();
    const sent: string[] = [];
    const commands = new Commands(({ number, name }) => {
      sent.push(`${number} ${name}`);
      if (name === 'large') return Promise.reject(invalid(reason, 'command.arguments', 9, 'less'));
      return number === 0
        ? Promise.resolve(true)
        : Promise.reject(invalid('INVALID_ARGUMENT', 'command.sequence', number, '0'));
    }, clock);
    commands.opened(0);
    const large = commands.run('large', undefined, undefined);
    const small = commands.run('small', undefined, undefined);
    await expect(large).rejects.toMatchObject({ reason });
    await clock.advance(1000);
    expect(sent).toEqual(['0 large', '1 small', '0 small']);
    commands.ended(0, { value: 'done' });
    expect(await small).toBe('done');
  });

  test('are not given to what no hoster takes', async () => {
    const b = bench();
    b.opened(0);
    const large = b.commands.runText('large', `"${'ä'.repeat(1024 * 1024)}"`, undefined);
    await expect(large).rejects.toMatchObject({ reason: 'COMMAND_INVALID' });
    expect(b.opened(0)).toEqual([]);
    b.run('next');
    expect(b.opened(0)).toEqual(['0 next']);
  });
});

test.each(['COMMAND_INVALID', 'COMMAND_UNKNOWN'] as const)(
  'those refused with %s take no room any more',
  async (reason) => {
    const refused = () => Promise.reject(new CabstandError(reason, 'no'));
    const commands = new Commands(refused, new FakeClock());
    commands.opened(0);
    const text = 'a'.repeat(1_500_000);
    const first = [1, 2, 3].map(() => commands.runText('x', text, undefined));
    const room = commands.room();
    expect(room).toBeDefined();
    for (const one of first) await expect(one).rejects.toMatchObject({ reason });
    await room;
    expect(commands.room()).toBeUndefined();
  },
);
