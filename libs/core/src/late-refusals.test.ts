import { CabstandError } from './errors';
import { FakeClock } from './fake-clock';
import { LateRefusals } from './late-refusals';

const REFUSAL = new CabstandError('QUOTA_EXCEEDED', 'too many');

function bench() {
  const clock = new FakeClock();
  const late = new LateRefusals(clock);
  const told: string[] = [];
  const refused: unknown[] = [];
  const hold = (who: string, signal = new AbortController().signal): void => {
    late
      .hold(REFUSAL, 1000, signal, () => told.push(who))
      .catch((error: unknown) => refused.push(error));
  };
  return { clock, late, told, refused, hold };
}

test('a refusal is told at its time, and once', async () => {
  const { clock, late, told, refused, hold } = bench();
  const call = new AbortController();
  hold('alice', call.signal);
  await clock.advance(999);
  expect([told, refused, late.size]).toEqual([[], [], 1]);
  await clock.advance(1);
  call.abort();
  late.close();
  await clock.advance(1000);
  expect([told, refused, late.size]).toEqual([['alice'], [REFUSAL], 0]);
});

test('whose call is over, before or meanwhile, does not wait', async () => {
  const { clock, late, told, refused, hold } = bench();
  const call = new AbortController();
  hold('alice', call.signal);
  hold('bob');
  call.abort();
  hold('carol', call.signal);
  await clock.advance(0);
  expect([told, refused.length, late.size]).toEqual([['alice', 'carol'], 2, 1]);
});

test('a close tells all that wait', async () => {
  const { clock, late, told, refused, hold } = bench();
  hold('alice');
  hold('bob');
  late.close();
  await clock.advance(0);
  expect([told, refused, late.size]).toEqual([['alice', 'bob'], [REFUSAL, REFUSAL], 0]);
});
