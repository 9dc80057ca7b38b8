import type { CabstandError } from '@cabstand/core';
import type { Metrics } from '@cabstand/service';
import type { EngineDeath, EngineLabels, EngineObserver } from './engines/observer';
import type { ModelHost, ServedModel } from './engines/contract';
import type { SessionObserver } from './sessions/observer';
import type { Session } from './sessions/session';
import type { SessionFacts } from './sessions/session-facts';
import type { Sessions } from './sessions/sessions';
import type { SessionEnd, SessionState } from './sessions/types';

const LATENCY = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
const LIFETIME = [0.01, 0.1, 1, 10, 60, 300, 1800, 7200];
const BATCHES = [1, 2, 4, 8, 16, 32, 64];
const LOADS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const STATES: readonly SessionState[] = ['streaming', 'orphaned', 'closing'];

/** What the hoster counts of its sessions. Labels are models and reasons only, never callers or ids. */
export function sessionMetrics(metrics: Metrics): SessionObserver {
  const model = ['model'] as const;
  const opened = metrics.counter({
    name: 'cabstand_sessions_opened_total',
    help: 'Sessions opened.',
    labels: model,
  });
  const ended = metrics.counter({
    name: 'cabstand_sessions_ended_total',
    help: 'Sessions that ended, by reason.',
    labels: ['model', 'reason'],
  });
  const lifetime = metrics.histogram(
    { name: 'cabstand_session_seconds', help: 'How long sessions lived.', labels: model },
    LIFETIME,
  );
  // Callers choose the model they ask for: only the reason is bounded.
  const refused = metrics.counter({
    name: 'cabstand_sessions_refused_total',
    help: 'Sessions that were not opened, by reason.',
    labels: ['reason'],
  });
  const turns = metrics.counter({
    name: 'cabstand_turns_total',
    help: 'Turns that ended, by reason.',
    labels: ['model', 'reason'],
  });
  const records = metrics.counter({
    name: 'cabstand_records_total',
    help: 'Records that sessions produced.',
    labels: model,
  });
  const first = metrics.histogram(
    {
      name: 'cabstand_first_chunk_seconds',
      help: 'From the start of a turn to its first chunk.',
      labels: model,
    },
    LATENCY,
  );
  const between = metrics.histogram(
    {
      name: 'cabstand_inter_chunk_seconds',
      help: 'Between two chunks of a turn while its reader had room.',
      labels: model,
    },
    LATENCY,
  );
  const resumes = metrics.counter({
    name: 'cabstand_resumes_total',
    help: 'Sessions that went on: from another hoster, or after their engine was lost.',
    labels: ['model', 'cause'],
  });
  const rebuilds = metrics.histogram(
    {
      name: 'cabstand_rebuild_seconds',
      help: 'From the loss of an engine until a session went on in the next one.',
      labels: model,
    },
    LATENCY,
  );
  const checkpoints = metrics.counter({
    name: 'cabstand_checkpoints_total',
    help: 'Checkpoints given to consumers.',
    labels: model,
  });
  const checkpointBytes = metrics.counter({
    name: 'cabstand_checkpoint_bytes_total',
    help: 'Bytes of them.',
    labels: model,
  });
  const poisoned = metrics.counter({
    name: 'cabstand_turns_poisoned_total',
    help: 'Turns that killed two engines at the same position.',
    labels: model,
  });
  const of = (session: SessionFacts): { model: string } => ({ model: session.model.name });
  return {
    resumed: (session) => resumes.inc({ ...of(session), cause: 'elsewhere' }),
    rebuilt: (session, cause, seconds) => {
      resumes.inc({ ...of(session), cause: cause === 'ENGINE_STALLED' ? 'stalled' : 'crashed' });
      rebuilds.observe(of(session), seconds);
    },
    checkpoint: (session, bytes) => {
      checkpoints.inc(of(session));
      checkpointBytes.inc(of(session), bytes);
    },
    poisoned: (session) => poisoned.inc(of(session)),
    opened: (session) => opened.inc(of(session)),
    ended: (session: SessionFacts, end: SessionEnd, seconds: number) => {
      ended.inc({ ...of(session), reason: end.reason });
      lifetime.observe(of(session), seconds);
    },
    refused: (_model: string, error: CabstandError) => refused.inc({ reason: error.reason }),
    turnEnded: (session, reason) => turns.inc({ ...of(session), reason }),
    record: (session) => records.inc(of(session)),
    firstChunk: (session, seconds) => first.observe(of(session), seconds),
    betweenChunks: (session, seconds) => between.observe(of(session), seconds),
  };
}

/** What is read when somebody scrapes: sessions by state, what they hold, and every limit. */
export function stateMetrics(
  metrics: Metrics,
  sessions: Sessions,
  host: ModelHost,
  registeredRouters: () => number,
): void {
  // The first of these gauges to be read refreshes the others, so that sessions are walked once.
  metrics.gauge({ name: 'cabstand_open_sessions', help: 'Open sessions.' }, () => {
    for (const gauge of [byState, free, resume, capacity, queue, info, modelState]) gauge.reset();
    for (const { name, capacity: slots } of host.models()) {
      for (const state of STATES) byState.set({ model: name, state }, 0);
      capacity.inc({ model: name }, slots);
      queue.set({ model: name }, sessions.queueLengthOf(name));
    }
    for (const { name, version, status } of host.models())
      modelState.set({ model: name, version, state: status.state }, 1);
    for (const { name } of host.broken())
      modelState.set({ model: name, version: '', state: 'failed' }, 1);
    for (const model of host.models())
      if (model.status.state === 'ready') {
        free.set({ model: model.name }, sessions.freeSlots(model));
        resume.set({ model: model.name }, sessions.resumeSlots(model));
        info.set(infoLabels(model), 1);
      }
    for (const session of sessions.all())
      byState.inc({ model: session.model.name, state: session.state });
    return sessions.size;
  });
  const byState = metrics.gauge({
    name: 'cabstand_sessions',
    help: 'Open sessions by state.',
    labels: ['model', 'state'],
  });
  const info = metrics.gauge({
    name: 'cabstand_model_info',
    help: '1 for each model that serves: how, and what it was checked against.',
    labels: ['model', 'version', 'provider', 'batch_class', 'reference'],
  });
  const modelState = metrics.gauge({
    name: 'cabstand_model_state',
    help: '1 for the state that a version of a model is in: loading, ready, draining (it serves the sessions that it has) or failed; version is empty where the folder of the model cannot be read.',
    labels: ['model', 'version', 'state'],
  });
  const perModel = (name: string, help: string): ReturnType<Metrics['gauge']> =>
    metrics.gauge({ name, help, labels: ['model'] });
  const free = perModel(
    'cabstand_free_slots',
    'Slots of a model that new sessions may take; those kept for resumed ones are not among them.',
  );
  const resume = perModel(
    'cabstand_resume_slots',
    'Further slots of a model, kept (limits.resume_headroom) for sessions that go on from elsewhere.',
  );
  const capacity = perModel(
    'cabstand_slots',
    'Sessions of a model that may be open at once, in all its versions that are loaded.',
  );
  const queue = perModel('cabstand_queue_depth', 'Sessions that wait for a slot.');
  const sum = (read: (session: Session) => number) => (): number => {
    let total = 0;
    for (const session of sessions.all()) total += read(session);
    return total;
  };
  metrics.gauge(
    { name: 'cabstand_journal_records', help: 'Records that wait for readers or their acks.' },
    sum((session) => session.journal.records),
  );
  metrics.gauge(
    { name: 'cabstand_journal_bytes', help: 'Bytes of those records.' },
    sum((session) => session.journal.bytes),
  );
  metrics.gauge(
    { name: 'cabstand_kept_bytes', help: 'State and input kept for going on in another engine.' },
    sum((session) => session.keptBytes),
  );
  metrics.gauge(
    { name: 'cabstand_waiting_for_engine', help: 'Sessions whose engine was lost.' },
    sum((session) => (session.waiting ? 1 : 0)),
  );
  metrics.gauge(
    { name: 'cabstand_credit_records', help: 'Records that engines may still produce.' },
    sum((session) => Math.max(0, session.credit.records)),
  );
  metrics.gauge(
    { name: 'cabstand_ended_sessions_remembered', help: 'Ended sessions whose reason is known.' },
    () => sessions.remembered,
  );
  metrics.gauge(
    { name: 'cabstand_draining', help: '1 while the hoster takes no new sessions.' },
    () => (sessions.openness.kind === 'open' ? 0 : 1),
  );
  metrics.gauge(
    { name: 'cabstand_registered_routers', help: 'Routers that know this hoster.' },
    registeredRouters,
  );
  const limit = metrics.gauge({
    name: 'cabstand_limit',
    help: 'Configured limits, in the unit of what they bound.',
    labels: ['limit'],
  });
  const { options } = sessions;
  const limits = {
    sessions: options.maxSessions,
    sessions_per_principal: options.maxSessionsPerPrincipal,
    journal_records: options.journalRecords,
    journal_bytes: options.journalBytes,
    live_parts: options.liveParts,
    live_bytes: options.liveBytes,
    queue_length: options.queueLength,
    ended_remembered: options.endedRemembered,
    replay_seconds: options.replayMs / 1000,
    snapshot_records: options.snapshotRecords,
    snapshot_seconds: options.snapshotMs / 1000,
    rebuild_seconds: options.rebuildMs / 1000,
    moves_per_second: options.movesPerSecond,
  };
  for (const [name, value] of Object.entries(limits)) limit.set({ limit: name }, value);
}

function infoLabels(model: ServedModel): Record<string, string> {
  const { name, version, provider = '', batchClass = '', reference = '' } = model;
  return { model: name, version, provider, batch_class: batchClass, reference };
}

/** What the hoster counts of its engines. */
export function engineMetrics(metrics: Metrics): EngineObserver {
  const labels = ['model'] as const;
  const counter = (name: string, help: string, more: readonly string[] = []) =>
    metrics.counter({ name, help, labels: [...labels, ...more] });
  const gauge = (name: string, help: string) => metrics.gauge({ name, help, labels });
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    metrics.histogram({ name, help, labels }, buckets);
  const steps = counter('cabstand_steps_total', 'Model runs.');
  const rows = histogram('cabstand_batch_size', 'Rows in a model run.', BATCHES);
  const seconds = histogram('cabstand_step_seconds', 'Time of a model run.', LATENCY);
  const busy = counter('cabstand_engine_busy_seconds_total', 'Time engines spent in model runs.');
  const rss = gauge('cabstand_engine_resident_bytes', 'Resident memory of an engine.');
  const state = gauge('cabstand_engine_state_bytes', 'Bytes of state of all sequences.');
  const sequences = gauge('cabstand_engine_sequences', 'Open sequences.');
  const ready = gauge('cabstand_engine_ready_sequences', 'Sequences that could be stepped.');
  const auditing = gauge('cabstand_engine_audit_seconds', 'Time an engine spent in audits.');
  const audits = counter(
    'cabstand_audits_total',
    'Rows that ran among others and were run again alone, by what that showed.',
    ['version', 'result'],
  );
  const deaths = counter('cabstand_engine_deaths_total', 'Engines that died.', ['cause']);
  const down = histogram('cabstand_engine_down_seconds', 'From a death until it serves.', LOADS);
  const loads = histogram('cabstand_model_load_seconds', 'Time of a load.', LOADS);
  const of = (engine: EngineLabels): { model: string } => ({ model: engine.model });
  return {
    step: (engine, batch, took) => {
      steps.inc(of(engine));
      rows.observe(of(engine), batch);
      seconds.observe(of(engine), took);
      busy.inc(of(engine), took);
    },
    stats: (engine, stats) => {
      rss.set(of(engine), stats.rssBytes);
      state.set(of(engine), stats.stateBytes);
      sequences.set(of(engine), stats.sequences);
      ready.set(of(engine), stats.ready);
      auditing.set(of(engine), stats.auditSeconds);
    },
    audited: ({ model, version }, result, count) => {
      audits.inc({ model, version, result }, count);
    },
    died: (engine, cause: EngineDeath) => deaths.inc({ ...of(engine), cause }),
    restarted: (engine, downSeconds) => down.observe(of(engine), downSeconds),
    loaded: (engine, loadSeconds) => loads.observe(of(engine), loadSeconds),
    gone: (engine) => {
      for (const each of [rss, state, sequences, ready, auditing]) each.remove(of(engine));
    },
  };
}
