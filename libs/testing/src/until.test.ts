import { until } from './until';

test('what will not come is not waited for', async () => {
  let asked = 0;
  const waiting = until(
    'the hoster',
    () => {
      asked++;
      return undefined;
    },
    {
      hopeless: () => (asked < 3 ? undefined : 'it ended'),
      explain: () => 'its last words',
    },
  );
  await expect(waiting).rejects.toThrow('waited for the hoster, but it ended\nits last words');
  expect(asked).toBe(3);
});

test('an answer that came with the end counts', async () => {
  await expect(until('it', () => 'here', { hopeless: () => 'it ended' })).resolves.toBe('here');
});

test('what does not come in time says what was waited for, and what went wrong last', async () => {
  const ask = (): never => {
    throw new Error('refused');
  };
  await expect(until('the port', ask, { timeoutMs: 30 })).rejects.toThrow(
    'waited 30 ms for the port (refused)',
  );
});
