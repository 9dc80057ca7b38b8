import type { LanguageFigures } from '@cabstand/engine';
import type { Subjects } from '@cabstand/service';
import type { EngineLabels } from '../engines/observer';
import { LATENCY, WAITS } from './buckets';

/** What the hoster counts of engines of language models, by the names that servers of such models have for it. */
export function languageMetrics(models: Subjects): {
  readonly told: (engine: EngineLabels, figures: LanguageFigures) => void;
  readonly forget: (engine: EngineLabels) => void;
} {
  const firstToken = models.histogram(
    {
      name: 'cabstand_time_to_first_token_seconds',
      help: 'Language models: from a turn in the engine to its first token, in seconds, by model.',
    },
    WAITS,
  );
  const eachToken = models.histogram(
    {
      name: 'cabstand_time_per_output_token_seconds',
      help: 'Language models: time of each token of a turn after its first, on average over the turn, in seconds, by model.',
    },
    LATENCY,
  );
  const queue = models.histogram(
    {
      name: 'cabstand_request_queue_time_seconds',
      help: 'Language models: from a turn in the engine until there was memory for its cache and its prompt was begun, in seconds, by model.',
    },
    WAITS,
  );
  const use = models.gauge(
    {
      name: 'cabstand_kv_cache_usage_ratio',
      help: 'Language models: share of limits.max_state_bytes that caches of running turns hold, 0 to 1, by model version.',
    },
    ['version'],
  );
  const preemptions = models.counter({
    name: 'cabstand_preemptions_total',
    help: 'Language models: turns whose cache was given up for others and computed again, by model.',
  });
  const queries = models.counter({
    name: 'cabstand_prefix_cache_queries_total',
    help: 'Language models: tokens of prompts that were looked up among those computed before, by model.',
  });
  const hits = models.counter({
    name: 'cabstand_prefix_cache_hits_total',
    help: 'Language models: tokens of prompts that were not computed, since they had been before, by model.',
  });
  const generated = models.counter({
    name: 'cabstand_generation_tokens_total',
    help: 'Language models: tokens that were chosen, by model.',
  });
  return {
    told: ({ model, version }, figures) => {
      use.set({ model, version }, figures.cacheUse);
      preemptions.inc(model, {}, figures.preemptions);
      queries.inc(model, {}, figures.promptTokens);
      hits.inc(model, {}, figures.cachedPromptTokens);
      generated.inc(model, {}, figures.generatedTokens);
      const observe = (histogram: typeof queue, values: readonly unknown[]): void => {
        // An engine may be of another make.
        for (const value of values) if (isSeconds(value)) histogram.observe(model, value);
      };
      observe(queue, figures.queueSeconds);
      observe(firstToken, figures.firstTokenSeconds);
      observe(eachToken, figures.tokenSeconds);
    },
    forget: ({ model, version }) => use.remove({ model, version }),
  };
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
