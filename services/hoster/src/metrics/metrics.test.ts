import { FakeClock } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import { Metrics } from '@cabstand/service';
import { FakeHost, FakeModel, pageFaults, testSealer } from '@cabstand/testing';
import type { EngineDeath } from '../engines/observer';
import type { ServedModel } from '@cabstand/sessions';
import { Sessions } from '@cabstand/sessions';
import { engineMetrics } from './engine-metrics';
import { sessionMetrics } from './session-metrics';
import { stateMetrics } from './state-metrics';

const forever = new AbortController().signal;
const engine = { model: 'fake', version: '1' };

/** All of a hoster's metrics over models in memory. */
function bench() {
  const metrics = new Metrics('hoster');
  const clock = new FakeClock();
  const host = new FakeHost(1);
  const models = metrics.subjects('model');
  const observe = sessionMetrics(metrics, models);
  const options = { queueLength: 2, queueWaitMs: 500 };
  const sessions = new Sessions({ host, clock, observe, sealer: testSealer(), options });
  const engines = engineMetrics(models);
  const loaded: ServedModel[] = [host.model];
  const routers = { registered: 1, clockOffsetMs: -2500 };
  stateMetrics(metrics, models, sessions, { models: () => loaded, broken: () => [] }, routers);
  const open = (principal = 'alice') =>
    sessions.open(
      {
        id: undefined,
        principal,
        model: 'fake',
        retention: 'durable',
        epoch: { counter: 0, owner: '' },
        priority: 0,
      },
      forever,
    );
  return { metrics, clock, host, sessions, observe, engines, loaded, open };
}

/** The series of a page, without their values. */
function seriesOf(page: string): Set<string> {
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Set(
    lines
      .filter((line) => !/^(nodejs|process)_/.test(line))
      .map((line) => line.slice(0, line.lastIndexOf(' '))),
  );
}

const value = (page: string, series: RegExp): number =>
  Number(
    page
      .split('\n')
      .find((line) => series.test(line))
      ?.split(' ')
      .at(-1),
  );

test('each metric says what it is, and has its series before anything happens', async () => {
  const b = bench();
  b.metrics.rpc.serves(HosterService.rpc_info.info);
  const page = await b.metrics.render();
  expect(pageFaults(page)).toEqual([]);
  expect(page).toMatch(/^cabstand_turns_poisoned_total\{model="fake",.*\} 0$/m);
  expect(page).toMatch(/^cabstand_sessions_refused_total\{reason="HOSTER_FULL",.*\} 0$/m);
  expect(page).toMatch(/^cabstand_rebuild_seconds_count\{.*model="fake".*\} 0$/m);
});

test('nothing that happens makes a series of a counter or histogram that was not there', async () => {
  const b = bench();
  const { engines, observe } = b;
  const stats = { rssBytes: 1, sequences: 1, stateBytes: 1, ready: 1, silentSeconds: 2 };
  engines.stats(engine, stats);
  const before = seriesOf(await b.metrics.render());

  const session = await b.open();
  const waiting = b.open('bob').catch((error: unknown) => error);
  await b.clock.advance(500);
  await waiting;
  for (const kind of ['resumed', 'poisoned', 'record', 'message'] as const)
    observe({ kind, session });
  for (const cause of ['ENGINE_CRASHED', 'ENGINE_STALLED'] as const)
    observe({ kind: 'rebuilt', session, cause, seconds: 0.1 });
  observe({ kind: 'checkpoint', session, bytes: 100 });
  for (const kind of ['first_chunk', 'between_chunks'] as const)
    observe({ kind, session, seconds: 0.1 });
  for (const outcome of ['done', 'rejected', 'invalid', 'unknown', 'failed'] as const)
    observe({ kind: 'command', session, outcome });
  engines.stray(engine);
  for (const reason of ['completed', 'stopped', 'cancelled', 'timed_out', 'evicted', 'error'])
    observe({ kind: 'turn_ended', session, reason, end: { reason: 'completed', steps: 0 } });
  for (const reason of [
    ...(['completed', 'stopped', 'cancelled', 'timed_out'] as const),
    ...(['evicted', 'migrated', 'lost', 'error'] as const),
  ])
    observe({ kind: 'ended', session, end: { reason }, seconds: 1 });
  for (const cause of ['exited', 'stalled', 'memory', 'protocol', 'load'] as EngineDeath[])
    engines.died(engine, cause);
  engines.step(engine, 3, 0.01);
  engines.stats(engine, stats);
  engines.spent(engine, { cpuSeconds: 2, auditSeconds: 0.5 });
  engines.audited(engine, 'passed', 2);
  engines.audited(engine, 'failed', 1);
  engines.restarted(engine, 0.5);
  engines.loaded(engine, 1, 1);

  const page = await b.metrics.render();
  const made = [...seriesOf(page)].filter((series) => !before.has(series));
  expect(made).toEqual([]);
  expect(value(page, /^cabstand_engine_cpu_seconds_total\{/)).toBe(2);
  expect(value(page, /^cabstand_commands_total\{model="fake",outcome="rejected"/)).toBe(1);
  expect(value(page, /^cabstand_messages_total\{/)).toBe(1);
  expect(value(page, /^cabstand_module_strays_total\{/)).toBe(1);
  expect(value(page, /^cabstand_module_silent_seconds\{/)).toBe(2);
  expect(value(page, /^cabstand_queue_wait_seconds_count\{/)).toBe(2);
  expect(value(page, /^cabstand_queue_wait_seconds_sum\{/)).toBe(0.5);
  expect(value(page, /^cabstand_sessions_refused_total\{reason="HOSTER_FULL"/)).toBe(1);
  expect(value(page, /^cabstand_resumes_total\{model="fake",cause="stalled"/)).toBe(1);
  session.abort({ reason: 'stopped' });
});

test('a model that is unloaded takes its series with it, one that comes begins at zero', async () => {
  const b = bench();
  b.engines.stats(engine, {
    ...{ rssBytes: 1, sequences: 1, stateBytes: 1, ready: 1, silentSeconds: 0 },
  });
  b.engines.step(engine, 1, 0.01);
  const full = await b.metrics.render();
  expect(full).toContain('model="fake"');
  b.loaded.splice(0, 1, new FakeModel('other', 1));
  b.engines.gone(engine);
  const page = await b.metrics.render();
  expect(page).not.toContain('model="fake"');
  expect(page).toMatch(/^cabstand_steps_total\{model="other",.*\} 0$/m);
});

test('two versions of a model have a gauge each, and the older one leaves no trace', async () => {
  const { metrics, engines } = bench();
  const stats = { sequences: 1, stateBytes: 1, ready: 1, silentSeconds: 0 };
  engines.stats(engine, { ...stats, rssBytes: 100 });
  engines.stats({ ...engine, version: '2' }, { ...stats, rssBytes: 200 });
  engines.gone(engine);
  const page = await metrics.render();
  expect(page).toMatch(/^cabstand_engine_resident_bytes\{model="fake",version="2",.*\} 200$/m);
  expect(page).not.toMatch(/^cabstand_engine_resident_bytes\{.*version="1"/m);
});
