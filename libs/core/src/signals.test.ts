import { CabstandError } from './errors';
import { FakeClock } from './fake-clock';
import { abortable, abortableBy, linkSignals, sleep } from './signals';

test('a deadline aborts with its reason and says what took too long', async () => {
  const clock = new FakeClock();
  using linked = linkSignals([], {
    ms: 100,
    reason: 'NODE_STALLED',
    what: 'the first record',
    clock,
  });
  await clock.advance(99);
  expect(linked.signal.aborted).toBe(false);
  await clock.advance(1);
  const reason = linked.signal.reason as CabstandError;
  expect(reason.reason).toBe('NODE_STALLED');
  expect(reason.message).toContain('the first record took longer than 100 ms');
});

test('disposing unlinks parents and stops the timer', () => {
  const clock = new FakeClock();
  const parent = new AbortController();
  const linked = linkSignals([parent.signal], { ms: 100, what: 'x', clock });
  linked[Symbol.dispose]();
  expect(clock.pending).toBe(0);
  linked.restart();
  expect(clock.pending).toBe(0);
  parent.abort();
  expect(linked.signal.aborted).toBe(false);
});

test('a parent that was aborted before aborts the child at once', () => {
  const parent = AbortSignal.abort(new CabstandError('DRAINING', 'going'));
  using linked = linkSignals([undefined, parent]);
  expect(linked.signal.reason).toMatchObject({ reason: 'DRAINING' });
});

test('sleep ends early when aborted and leaves no timer', async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const sleeping = sleep(1000, controller.signal, clock);
  controller.abort();
  await expect(sleeping).rejects.toMatchObject({ reason: 'CANCELLED' });
  expect(clock.pending).toBe(0);
});

test('abortable does not wait for a promise that never settles', async () => {
  const controller = new AbortController();
  const waiting = abortable(new Promise(() => undefined), controller.signal);
  controller.abort(new CabstandError('NODE_STALLED', 'no answer'));
  await expect(waiting).rejects.toMatchObject({ reason: 'NODE_STALLED' });
});

test('any number of promises wait with one listener, and end with the signal', async () => {
  const controller = new AbortController();
  const listened = jest.spyOn(controller.signal, 'addEventListener');
  const until = abortableBy(controller.signal);
  const never = Array.from({ length: 100 }, () => until(new Promise(() => undefined)));
  expect(await until(Promise.resolve('done'))).toBe('done');
  await expect(until(Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  expect(listened).toHaveBeenCalledTimes(1);
  controller.abort(new CabstandError('CANCELLED', 'stopping'));
  const ends = await Promise.allSettled([...never, until(new Promise(() => undefined))]);
  for (const end of ends) expect(end).toMatchObject({ reason: { message: 'stopping' } });
});
