import {
  CLIENT,
  HOSTER,
  beat,
  beating,
  join,
  reached,
  registration,
  report,
  stand,
  stateOf,
} from '../core.fixture';

const many = (count: number, name: string): string[] =>
  Array.from({ length: count }, (_, i) => `${name}${i}`);

test('of a fleet that comes all at once a few are probed at once, and the others at a pace', async () => {
  const s = stand({ maxProbesPerSecond: 100 });
  const ids = many(50, 'n');
  for (const id of ids) join(s.core, id);
  await s.clock.advance(0);
  expect(s.prober.asked).toHaveLength(10);
  expect(stateOf(s.core, 'n49')).toBe('ONLINE');
  await beating(s, ids, 1000, 500);
  expect(s.prober.asked).toHaveLength(20);
  await beating(s, ids, 3000, 500);
  expect(new Set(s.prober.asked.map(({ nodeId }) => nodeId)).size).toBe(50);
  await beating(s, ids, 3000, 500);
  expect(s.prober.asked).toHaveLength(50);
  expect(s.core.footprint).toBe(50 + 2);
});

test('a suspect is probed before all newcomers that wait', async () => {
  const s = stand({ maxProbesPerSecond: 4 });
  for (const id of many(20, 'n')) join(s.core, id);
  await s.clock.advance(0);
  expect(s.prober.asked.map(({ nodeId }) => nodeId)).toEqual(['n0']);
  s.core.report(report('n19'), CLIENT);
  await s.clock.advance(0);
  expect(s.prober.asked.map(({ nodeId }) => nodeId)).toEqual(['n0', 'n19']);
});

test('where many are missed at once, those whose heartbeats come again are not probed', async () => {
  const s = stand({ maxProbesPerSecond: 4 });
  const ids = many(8, 'n');
  const streams = ids.map(() => ({ send: () => undefined }));
  ids.forEach((id, i) => {
    s.core.register(registration(id), HOSTER);
    s.core.heartbeat(beat(id), HOSTER, streams[i]);
  });
  await beating(s, ids, 10_000);
  await reached(s);
  ids.forEach((id, i) => streams[i] && s.core.streamEnded(streams[i], [id]));
  await s.clock.advance(0);
  expect(s.prober.asked).toHaveLength(4);
  for (const id of ids) s.core.heartbeat(beat(id), HOSTER);
  await beating(s, ids, 10_000);
  expect(s.prober.asked).toHaveLength(4);
  for (const id of ids) expect(stateOf(s.core, id)).toBe('ONLINE');
});

test('a node that registered early is judged by the period of the fleet that has grown since', async () => {
  const s = stand({ heartbeatsPerSecond: 2 });
  s.core.register(registration('first'), HOSTER);
  for (const id of many(19, 'n')) join(s.core, id);
  expect(s.core.nodes.get('first')?.periodMs).toBe(1000);
  await s.clock.advance(19_000);
  expect(stateOf(s.core, 'first')).toBe('JOINING');
  await s.clock.advance(2000);
  expect(s.core.nodes.get('first')?.state.reasons).toEqual([
    'heartbeat: none for 2 periods of 10000 ms',
  ]);
});
