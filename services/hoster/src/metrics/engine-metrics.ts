import { namesOf } from '@cabstand/service';
import type { Subjects } from '@cabstand/service';
import type { EngineDeath, EngineLabels, EngineObserver } from '../engines/observer';
import { BATCHES, LATENCY, LOADS } from './buckets';
import { languageMetrics } from './language-metrics';

const DEATHS = namesOf<EngineDeath>({
  exited: true,
  stalled: true,
  memory: true,
  protocol: true,
  load: true,
});

/** What the hoster counts of its engines. Two versions of a model may have one each at a time. */
export function engineMetrics(models: Subjects): EngineObserver {
  const steps = models.counter({
    name: 'cabstand_steps_total',
    help: 'Runs of a model in its engine, by model; a run computes one step for each of the rows batched in it.',
  });
  const rows = models.histogram(
    {
      name: 'cabstand_batch_size',
      help: 'Rows (sessions) that were batched into one run of a model, by model.',
    },
    BATCHES,
  );
  const seconds = models.histogram(
    {
      name: 'cabstand_step_seconds',
      help: 'How long one run of a model took in its engine, in seconds, by model.',
    },
    LATENCY,
  );
  const busy = models.counter({
    name: 'cabstand_engine_busy_seconds_total',
    help: 'Seconds that the engine of a model spent in model runs; an increase of 1 a second is a full engine.',
  });
  const cpu = models.counter({
    name: 'cabstand_engine_cpu_seconds_total',
    help: 'Processor time that the engine processes of a model used, user and system, in seconds; told once a second while they serve.',
  });
  const auditing = models.counter({
    name: 'cabstand_engine_audit_seconds_total',
    help: 'Seconds that the engine of a model spent in audits: running batched rows again alone, in idle moments.',
  });
  const audits = models.counter({
    name: 'cabstand_audits_total',
    help: 'Rows that ran batched and were run again alone, by model and result; "failed" means that rows of callers touched one another.',
    labels: { result: ['passed', 'failed'] },
  });
  const deaths = models.counter({
    name: 'cabstand_engine_deaths_total',
    help: 'Engine processes that died unasked, by model and cause: exited, stalled, over its memory limit, protocol error, or failed restart.',
    labels: { cause: DEATHS },
  });
  const down = models.histogram(
    {
      name: 'cabstand_engine_down_seconds',
      help: 'From the death of an engine until the model served again, in seconds, by model.',
    },
    LOADS,
  );
  const loads = models.histogram(
    {
      name: 'cabstand_model_load_seconds',
      help: 'How long loads of a model took that ended well, without its verification, in seconds.',
    },
    LOADS,
  );
  const gauge = (name: string, help: string) => models.gauge({ name, help }, ['version']);
  const rss = gauge(
    'cabstand_engine_resident_bytes',
    'Resident memory of the engine process of a model version, in bytes, as it told within the last second.',
  );
  const state = gauge(
    'cabstand_engine_state_bytes',
    'Bytes of model state that the engine holds for all its open sequences, by model version.',
  );
  const sequences = gauge(
    'cabstand_engine_sequences',
    'Sequences (the engine side of sessions) that are open in the engine, by model version.',
  );
  const ready = gauge(
    'cabstand_engine_ready_sequences',
    'Sequences that have input and room for output and so run or wait for their next step, by model version.',
  );
  const silent = gauge(
    'cabstand_module_silent_seconds',
    'Longest time that the code of a session of a module gave no sign of life though its reader had room, in seconds; 0 where that is less than a second.',
  );
  const strays = models.counter({
    name: 'cabstand_module_strays_total',
    help: 'Sessions of a module whose code went on past the grace of their stop, and was left alone, by model.',
  });
  const language = languageMetrics(models);
  const forget = ({ model, version }: EngineLabels): void => {
    for (const each of [rss, state, sequences, ready, silent]) each.remove({ model, version });
    language.forget({ model, version });
  };
  return {
    step: ({ model }, batch, took) => {
      steps.inc(model);
      rows.observe(model, batch);
      seconds.observe(model, took);
      busy.inc(model, {}, took);
    },
    stats: ({ model, version }, stats) => {
      rss.set({ model, version }, stats.rssBytes);
      state.set({ model, version }, stats.stateBytes);
      sequences.set({ model, version }, stats.sequences);
      ready.set({ model, version }, stats.ready);
      silent.set({ model, version }, stats.silentSeconds);
    },
    language: language.told,
    stray: ({ model }) => strays.inc(model),
    spent: ({ model }, { cpuSeconds, auditSeconds }) => {
      cpu.inc(model, {}, cpuSeconds);
      auditing.inc(model, {}, auditSeconds);
    },
    audited: ({ model }, result, count) => audits.inc(model, { result }, count),
    died: (engine, cause) => {
      deaths.inc(engine.model, { cause });
      forget(engine);
    },
    restarted: ({ model }, downSeconds) => down.observe(model, downSeconds),
    loaded: ({ model }, loadSeconds) => loads.observe(model, loadSeconds),
    gone: forget,
  };
}
