import type { Tracer } from '@opentelemetry/api';
import { CabstandError, invalid } from '@cabstand/core';
import type { TracingConfig } from './section';

type Environment = Readonly<Record<string, string | undefined>>;

/** Spans of a service on their way to a collector. */
export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what is left, as far as that is quick. Never throws. */
  close(): Promise<void>;
}

/** What tracing needs to be told; see `tracingSection`. */
export interface TracingSettings {
  /** Where batches of spans are posted. */
  readonly url: string;
  readonly serviceName: string;
  readonly ratio: number;
  readonly callerSampling: boolean;
  readonly callerSpansPerSecond: number;
}

/**
 * The configuration, and the standard variables of OpenTelemetry where that says nothing. Undefined: nothing is
 * traced. Throws CONFIG_INVALID.
 */
export function tracingSettings(
  config: TracingConfig,
  service: string,
  env: Environment,
): TracingSettings | undefined {
  if (given(env, 'OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return undefined;
  const url = urlOf(config, env);
  if (url === undefined) return undefined;
  return {
    url,
    serviceName: given(env, 'OTEL_SERVICE_NAME') ?? `cabstand-${service}`,
    ratio: config.sample_ratio ?? ratioOf(env),
    callerSampling: config.caller_sampling,
    callerSpansPerSecond: config.max_caller_spans_per_second,
  };
}

function urlOf({ otlp_endpoint: own }: TracingConfig, env: Environment): string | undefined {
  const traces = given(env, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  if (own === undefined && traces !== undefined)
    return checkUrl('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', traces);
  const base = own ?? given(env, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  if (base === undefined) return undefined;
  const name = own === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'tracing.otlp_endpoint';
  return checkUrl(name, `${base.replace(/\/+$/, '')}/v1/traces`);
}

function checkUrl(name: string, text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw invalid('CONFIG_INVALID', name, text, 'an http or https URL');
}

/** Sampling follows the parent of a span, whichever of the standard samplers is named. */
function ratioOf(env: Environment): number {
  const sampler = given(env, 'OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on';
  switch (sampler.replace(/^parentbased_/, '')) {
    case 'always_on':
      return 1;
    case 'always_off':
      return 0;
    case 'traceidratio': {
      const text = given(env, 'OTEL_TRACES_SAMPLER_ARG') ?? '1';
      const ratio = Number(text);
      if (ratio >= 0 && ratio <= 1) return ratio;
      throw invalid('CONFIG_INVALID', 'OTEL_TRACES_SAMPLER_ARG', text, 'a number from 0 to 1');
    }
    default:
      throw new CabstandError(
        'CONFIG_INVALID',
        `OTEL_TRACES_SAMPLER: got ${sampler}, expected always_on, always_off, traceidratio, or one of these with parentbased_ before it`,
        { metadata: { field: 'OTEL_TRACES_SAMPLER', value: sampler } },
      );
  }
}

/** An empty variable is one that is not set. */
function given(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}
