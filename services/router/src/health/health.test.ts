import { CabstandError } from '@cabstand/core';
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
  wanted,
  refusal,
} from '../core.fixture';
import type { BeatAnswer } from '../registry/beat-stream';

test('a node joins, and its first heartbeat brings it online', () => {
  const { core } = stand();
  core.register(registration('a'), HOSTER);
  expect(stateOf(core, 'a')).toBe('JOINING');
  expect(() => core.acquire(wanted(), CLIENT)).toThrow('not ready: 1');
  const answer = core.heartbeat(beat('a'), HOSTER);
  expect(answer).toMatchObject({ reregister: false, drain: false, state: { kind: 'ONLINE' } });
  expect(core.acquire(wanted(), CLIENT).node.id).toBe('a');
});

test('two missed heartbeats make a suspect that is probed; a heartbeat clears it', async () => {
  const s = stand();
  join(s.core, 'a');
  await reached(s);
  await s.clock.advance(1900);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
  await s.clock.advance(300);
  expect(s.core.nodes.get('a')?.state).toMatchObject({ kind: 'SUSPECT', signals: ['heartbeat'] });
  expect(s.prober.asked).toHaveLength(1);
  s.core.heartbeat(beat('a'), HOSTER);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
});

test('a large fleet is looked at some nodes at a time', async () => {
  const s = stand({ maxNodes: 2500 });
  for (let i = 0; i < 2500; i++) join(s.core, `n${i}`);
  await reached(s);
  // Three periods of a second each for as many thousands.
  await s.clock.advance(5999);
  const seen = [];
  for (let i = 0; i < 3; i++) {
    await s.clock.advance(1);
    seen.push(s.core.sizes().nodes.SUSPECT);
  }
  expect(seen).toEqual([1000, 2000, 2500]);
});

test('missing heartbeats and a failed probe agree: offline at once', async () => {
  const s = stand();
  join(s.core, 'a');
  s.prober.down.add('a');
  await s.clock.advance(2300);
  expect(s.core.nodes.get('a')?.state).toMatchObject({ kind: 'OFFLINE', cause: 'unreachable' });
});

test('a node that answers probes but never beats expires all the same', async () => {
  const s = stand();
  join(s.core, 'a');
  await s.clock.advance(5500);
  expect(stateOf(s.core, 'a')).toBe('SUSPECT');
  await s.clock.advance(1000);
  expect(s.core.nodes.get('a')?.state).toMatchObject({ kind: 'OFFLINE', cause: 'expired' });
});

test('a node that never beat at all expires', async () => {
  const s = stand();
  s.core.register(registration('a'), HOSTER);
  await s.clock.advance(2300);
  expect(stateOf(s.core, 'a')).toBe('SUSPECT');
  await s.clock.advance(4000);
  expect(stateOf(s.core, 'a')).toBe('OFFLINE');
});

test('a node that was given up comes back with a heartbeat, once a probe succeeds again', async () => {
  const s = stand();
  join(s.core, 'a');
  s.prober.down.add('a');
  await s.clock.advance(2300);
  expect(stateOf(s.core, 'a')).toBe('OFFLINE');
  s.core.heartbeat(beat('a'), HOSTER);
  // The heartbeat does not clear what the probe raised.
  expect(s.core.nodes.get('a')?.state).toMatchObject({ kind: 'SUSPECT', signals: ['probe'] });
  s.prober.down.delete('a');
  await beating(s, ['a'], 2000);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
});

test('a lost stream of heartbeats is looked into at once', async () => {
  const s = stand();
  const stream = { send: () => undefined };
  s.core.register(registration('a'), HOSTER);
  await reached(s);
  s.core.heartbeat(beat('a'), HOSTER, stream);
  s.core.streamEnded(stream, ['a']);
  expect(stateOf(s.core, 'a')).toBe('SUSPECT');
  await s.clock.advance(1);
  expect(s.prober.asked).toHaveLength(1);
  expect(stateOf(s.core, 'a')).toBe('SUSPECT');
});

test('the end of a stream that was replaced by a newer one means nothing', () => {
  const { core } = stand();
  const old = { send: () => undefined };
  const fresh = { send: () => undefined };
  core.register(registration('a'), HOSTER);
  core.heartbeat(beat('a'), HOSTER, old);
  core.heartbeat(beat('a'), HOSTER, fresh);
  core.streamEnded(old, ['a']);
  expect(stateOf(core, 'a')).toBe('ONLINE');
});

test('the canary suspects its own node and clears only its own suspicion', async () => {
  const s = stand();
  join(s.core, 'a');
  await reached(s);
  s.core.heartbeat(beat('a', { impairments: ['step takes 3 s'] }), HOSTER);
  expect(s.core.nodes.get('a')?.state).toMatchObject({
    kind: 'SUSPECT',
    signals: ['canary'],
    reasons: ['canary: step takes 3 s'],
  });
  s.prober.down.add('a');
  s.core.report(report('a'), CLIENT);
  await s.clock.advance(0);
  expect(s.core.nodes.get('a')?.state).toMatchObject({ signals: ['canary', 'probe'] });
  s.core.heartbeat(beat('a'), HOSTER);
  expect(s.core.nodes.get('a')?.state).toMatchObject({ signals: ['probe'] });
});

test('a report makes a probe and no change; a failed probe makes the change', async () => {
  const s = stand();
  join(s.core, 'a');
  await reached(s);
  s.core.report(report('a'), CLIENT);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
  await s.clock.advance(0);
  expect(s.prober.asked).toHaveLength(1);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
  s.prober.down.add('a');
  s.core.report(report('a'), CLIENT);
  await s.clock.advance(0);
  expect(stateOf(s.core, 'a')).toBe('SUSPECT');
  expect(s.core.sizes().banned).toBe(1);
  s.prober.down.delete('a');
  await beating(s, ['a'], 3000);
  expect(stateOf(s.core, 'a')).toBe('ONLINE');
});

test('reports about another process of the node are dropped', async () => {
  const s = stand();
  join(s.core, 'a');
  await reached(s);
  s.core.report(report('a', { incarnation: 'a-0' }), CLIENT);
  s.core.report(report('nowhere'), CLIENT);
  await s.clock.advance(0);
  expect(s.prober.asked).toHaveLength(0);
});

test('reports are limited per principal', () => {
  const { core } = stand({ reportsPerMinute: 2 });
  join(core, 'a');
  core.report(report('a'), CLIENT);
  core.report(report('a'), CLIENT);
  expect(() => core.report(report('a'), CLIENT)).toThrow(CabstandError);
  core.report(report('a'), 'bob');
});

test('a report gives back the reservation that it is about, if it is the reporter’s', () => {
  const { core } = stand();
  join(core, 'a');
  const { lease } = core.acquire(wanted(), CLIENT);
  core.report(report('a', { leaseId: lease.leaseId }), 'bob');
  expect(core.sizes().reservations).toBe(1);
  core.report(report('a', { leaseId: lease.leaseId }), CLIENT);
  expect(core.sizes().reservations).toBe(0);
});

test('a probe that hangs counts as failed, and probes are bounded', async () => {
  const s = stand({ maxConcurrentProbes: 3, probeTimeoutMs: 500 });
  for (let i = 0; i < 10; i++) join(s.core, `n${i}`);
  await reached(s);
  s.prober.hang = true;
  for (let i = 0; i < 10; i++) s.core.report(report(`n${i}`), CLIENT);
  await s.clock.advance(0);
  expect(s.prober.asked).toHaveLength(3);
  expect(s.core.sizes().probesRunning).toBe(3);
  await s.clock.advance(500);
  expect(stateOf(s.core, 'n0')).toBe('SUSPECT');
  expect(s.prober.asked).toHaveLength(6);
});

test('drain reaches the node at once and keeps sessions away; a new process starts clean', () => {
  const { core } = stand();
  const sent: BeatAnswer[] = [];
  core.register(registration('a'), HOSTER);
  core.heartbeat(beat('a'), HOSTER, { send: (answer) => sent.push(answer) });
  core.drain('a', 60_000);
  expect(sent).toMatchObject([{ drain: true, drainMs: 60_000, state: { kind: 'DRAINING' } }]);
  expect(() => core.acquire(wanted(), CLIENT)).toThrow('no node can take');
  expect(core.heartbeat(beat('a', { draining: true }), HOSTER)).toMatchObject({ drain: true });
  join(core, 'a', { incarnation: 'a-2' });
  expect(stateOf(core, 'a')).toBe('ONLINE');
  expect(() => core.drain('b', 1)).toThrow(refusal('NODE_UNKNOWN'));
});

test('a drain is taken back until the node says that it takes sessions', () => {
  const { core } = stand();
  const sent: BeatAnswer[] = [];
  core.register(registration('a'), HOSTER);
  core.heartbeat(beat('a'), HOSTER, { send: (answer) => sent.push(answer) });
  core.undrain('a');
  expect(sent).toEqual([]);
  core.drain('a', 60_000);
  core.heartbeat(beat('a', { draining: true }), HOSTER);
  core.undrain('a');
  expect(sent.at(-1)).toMatchObject({ drain: false, undrain: true, state: { kind: 'DRAINING' } });
  // This heartbeat was on its way before the node heard of it.
  const late = core.heartbeat(beat('a', { draining: true }), HOSTER);
  expect(late).toMatchObject({ drain: false, undrain: true });
  expect(() => core.acquire(wanted(), CLIENT)).toThrow('no node can take');
  expect(core.heartbeat(beat('a'), HOSTER)).toMatchObject({ undrain: false });
  expect(core.acquire(wanted(), CLIENT).node.id).toBe('a');
  core.drain('a', 60_000);
  expect(sent.at(-1)).toMatchObject({ drain: true, undrain: false });
  expect(() => core.undrain('b')).toThrow(refusal('NODE_UNKNOWN'));
});

test('a node that drains of its own accord says so and may change its mind', () => {
  const { core } = stand();
  join(core, 'a');
  core.heartbeat(beat('a', { draining: true }), HOSTER);
  expect(core.nodes.get('a')?.state).toMatchObject({ kind: 'DRAINING', by: 'node' });
  core.heartbeat(beat('a'), HOSTER);
  expect(stateOf(core, 'a')).toBe('ONLINE');
});

test('goodbye is immediate; later heartbeats of that process are asked to register', () => {
  const { core } = stand();
  join(core, 'a');
  expect(() => core.deregister('a', 'a-0', HOSTER, 'x')).toThrow('no such process');
  expect(() => core.deregister('a', 'a-1', 'mallory', 'x')).toThrow('another principal');
  core.deregister('a', 'a-1', HOSTER, 'stopping');
  expect(core.nodes.get('a')?.state).toMatchObject({ kind: 'OFFLINE', cause: 'deregistered' });
  expect(core.heartbeat(beat('a'), HOSTER)).toMatchObject({ reregister: true });
  join(core, 'a');
  expect(stateOf(core, 'a')).toBe('ONLINE');
});
