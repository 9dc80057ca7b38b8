import type { Tracer } from '@opentelemetry/api';
import type { Logger } from '../log';
import type { TracingSettings } from './settings';

/** Spans of a service on their way to a collector. */
export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what is left, as far as that is quick. Never throws. */
  close(): Promise<void>;
}

/** Loads OpenTelemetry's SDK, which services that trace nothing never load. */
export async function startTracing(settings: TracingSettings, logger: Logger): Promise<Tracing> {
  const { openTracing } = await import('./sdk.js');
  logger.info(
    { collector: new URL(settings.url).host, ratio: settings.ratio },
    'traces are exported',
  );
  return openTracing(settings, logger);
}
