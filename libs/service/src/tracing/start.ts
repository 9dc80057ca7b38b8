import type { Logger } from '../log';
import type { Tracing, TracingSettings } from './settings';

/** Loads OpenTelemetry's SDK, which services that trace nothing never load. */
export async function startTracing(settings: TracingSettings, logger: Logger): Promise<Tracing> {
  const { openTracing } = await import('./sdk.js');
  logger.info(
    { collector: new URL(settings.url).host, ratio: settings.ratio },
    'traces are exported',
  );
  return openTracing(settings, logger);
}
