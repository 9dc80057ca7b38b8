/** The only file that loads OpenTelemetry's SDK. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Sampler } from '@opentelemetry/sdk-trace';
import { sleep, systemClock } from '@cabstand/core';
import type { Logger } from '../log';
import { packageVersion } from '../package-version';
import { PacedSampler } from './paced-sampler';
import type { Tracing, TracingSettings } from './settings';
import { ToldExporter } from './told-exporter';

/** Spans that wait to be sent; more are dropped. */
const MOST_WAITING = 2048;
/** Between two batches: what a service that is killed takes with it. */
const BATCH_MS = 1000;
/** Longest time that a batch, or the last one, may take. */
const EXPORT_MS = 2000;
const CLOSE_MS = 2500;

/** From here on the tracers of `@opentelemetry/api` in this process make spans. */
export function openTracing(settings: TracingSettings, logger: Logger): Tracing {
  const { url, serviceName } = settings;
  const version = packageVersion(path.join(__dirname, '..', '..'));
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: EXPORT_MS, concurrencyLimit: 2 });
  const provider = new TracerProvider({
    resource: detectResources({ detectors: [envDetector] }).merge(
      resourceFromAttributes({
        'service.name': serviceName,
        'service.version': version,
        'service.instance.id': randomUUID(),
      }),
    ),
    sampler: samplerOf(settings),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new ToldExporter(exporter, logger),
        maxQueueSize: MOST_WAITING,
        scheduledDelayMillis: BATCH_MS,
        exportTimeoutMillis: EXPORT_MS,
      }),
    ],
  });
  trace.setGlobalTracerProvider(provider);
  return {
    tracer: provider.getTracer('cabstand', version),
    close: async () => {
      trace.disable();
      await Promise.race([provider.shutdown().catch(() => undefined), sleep(CLOSE_MS)]);
    },
  };
}

/** A span is kept as its parent is. Whoever calls is believed as far as is configured. */
export function samplerOf(
  settings: Pick<TracingSettings, 'ratio' | 'callerSampling' | 'callerSpansPerSecond'>,
): Sampler {
  const root = new TraceIdRatioBasedSampler(settings.ratio);
  return new ParentBasedSampler({
    root,
    remoteParentSampled: settings.callerSampling
      ? new PacedSampler(settings.callerSpansPerSecond, systemClock)
      : root,
  });
}
