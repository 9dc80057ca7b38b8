import { namesOf } from '@cabstand/service';
import type { Metrics, Subjects } from '@cabstand/service';
import type { ServedModel, Session, Sessions, SessionState } from '@cabstand/sessions';
import type { ModelHost } from '../models/model-host';
import { limitMetrics } from './limit-metrics';

/** States of a session that holds a slot. */
type OpenState = Exclude<SessionState, 'waiting' | 'ended'>;

const STATES = namesOf<OpenState>({ streaming: true, orphaned: true, closing: true });

/** The models of a host, as far as they are counted. */
type LoadedModels = Pick<ModelHost, 'models' | 'broken'>;

/** What this hoster knows of its routers. */
interface KnownRouters {
  /** How many it is registered with. */
  readonly registered: number;
  /** By how much the clock of the one that differs most is ahead, milliseconds. */
  readonly clockOffsetMs: number;
}

/** What is read when somebody scrapes: models, sessions by state, what they hold, and every limit. */
export function stateMetrics(
  metrics: Metrics,
  models: Subjects,
  sessions: Sessions,
  host: LoadedModels,
  routers: KnownRouters,
): void {
  modelMetrics(metrics, models, sessions, host);
  const sum = (read: (session: Session) => number) => (): number => {
    let total = 0;
    for (const session of sessions.all()) total += read(session);
    return total;
  };
  const gauge = (name: string, help: string, read: () => number): void =>
    void metrics.gauge({ name, help }, read);
  const { options } = sessions;
  metrics.bounded(
    {
      name: 'cabstand_open_sessions',
      help: 'Sessions that are open on this hoster now, over all models.',
    },
    () => sessions.size,
    options.maxSessions,
    'Sessions that may be open on this hoster at once, over all models, as configured.',
  );
  gauge(
    'cabstand_idle_sessions',
    'Open sessions that are idle: between turns, without a reader; they hold memory and no slot.',
    () => sessions.idle,
  );
  metrics.bounded(
    {
      name: 'cabstand_held_bytes',
      help: 'Bytes that all sessions hold in this process, counted once a second: themselves, their journals, and what they keep to go on in another engine.',
    },
    () => sessions.heldBytes,
    options.maxHeldBytes,
    'Bytes that all sessions may hold in this process, as configured; above it the longest idle ones end.',
  );
  metrics.bounded(
    {
      name: 'cabstand_ended_sessions_remembered',
      help: 'Sessions that have ended and whose reason this hoster can still tell.',
    },
    () => sessions.remembered,
    options.endedRemembered,
    'Ended sessions that are remembered at once, as configured; the oldest are forgotten first.',
  );
  gauge(
    'cabstand_journal_records',
    'Records of all sessions that wait to be read or acknowledged by their callers.',
    sum((session) => session.journal.records),
  );
  gauge(
    'cabstand_journal_bytes',
    'Bytes of the records of all sessions that wait to be read or acknowledged.',
    sum((session) => session.journal.bytes),
  );
  gauge(
    'cabstand_kept_bytes',
    'Bytes of state and input that this process keeps so that durable sessions can go on in another engine.',
    sum((session) => session.keptBytes),
  );
  gauge(
    'cabstand_waiting_for_engine',
    'Sessions that lost their engine and wait for the next one; they produce nothing meanwhile.',
    sum((session) => (session.waiting ? 1 : 0)),
  );
  gauge(
    'cabstand_credit_records',
    'Records that the engines may still produce for all sessions before their readers or acks catch up.',
    sum((session) => Math.max(0, session.credit.records)),
  );
  gauge(
    'cabstand_draining',
    'Is 1 while this hoster takes no new sessions, since it drains or stops; otherwise 0.',
    () => (sessions.openness.kind === 'open' ? 0 : 1),
  );
  gauge(
    'cabstand_registered_routers',
    'Routers that this hoster is registered with now; with 0 of them no client finds it.',
    () => routers.registered,
  );
  gauge(
    'cabstand_clock_offset_seconds',
    'How far the clock of a router is ahead of this machine’s, in seconds, as its last answer told; of several routers the one that differs most.',
    () => routers.clockOffsetMs / 1000,
  );
  limitMetrics(metrics, sessions);
}

function modelMetrics(
  metrics: Metrics,
  models: Subjects,
  sessions: Sessions,
  host: LoadedModels,
): void {
  const gauge = (name: string, help: string, labels: readonly string[] = []) =>
    models.gauge({ name, help }, labels);
  const byState = gauge(
    'cabstand_sessions',
    'Sessions that are open now, by model and state: streaming, orphaned (no caller is attached) or closing.',
    ['state'],
  );
  const info = gauge(
    'cabstand_model_info',
    'Always 1, for each version of a model that serves: the labels say how it is run, and what its answers were checked against.',
    ['version', 'provider', 'batch_class', 'reference'],
  );
  const state = gauge(
    'cabstand_model_state',
    'Is 1 for the state that a version of a model is in: loading, ready, draining (it serves the sessions that it has) or failed; version is empty where the folder of the model cannot be read.',
    ['version', 'state'],
  );
  const free = gauge(
    'cabstand_free_slots',
    'Slots of a model that new sessions may take now; those kept for resumed ones are not among them.',
  );
  const resume = gauge(
    'cabstand_resume_slots',
    'Further slots of a model that are free now, kept (limits.resume_headroom) for sessions that go on from elsewhere.',
  );
  const capacity = gauge(
    'cabstand_slots',
    'Sessions of a model that may compute at once, in all its versions that are loaded; idle ones take no slot.',
  );
  const queue = gauge(
    'cabstand_queue_depth',
    'Sessions that wait now for a free slot of this model.',
  );
  metrics.beforeScrape(() => {
    const all = host.models();
    models.keep(all.map(({ name }) => name));
    for (const each of [byState, info, state, free, resume, capacity, queue]) each.reset();
    for (const served of all) {
      const { name: model, version, status } = served;
      for (const each of STATES) byState.set({ model, state: each }, 0);
      capacity.inc({ model }, served.capacity);
      queue.set({ model }, sessions.queueLengthOf(model));
      state.set({ model, version, state: status.state }, 1);
      if (status.state !== 'ready') continue;
      free.set({ model }, sessions.freeSlots(served));
      resume.set({ model }, sessions.resumeSlots(served));
      info.set(infoLabels(served), 1);
    }
    for (const { name: model } of host.broken())
      state.set({ model, version: '', state: 'failed' }, 1);
    for (const session of sessions.all())
      byState.inc({ model: session.model.name, state: session.state });
  });
}

function infoLabels(model: ServedModel): Record<string, string> {
  const { name, version, provider = '', batchClass = '', reference = '' } = model;
  return { model: name, version, provider, batch_class: batchClass, reference };
}
