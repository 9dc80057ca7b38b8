import { z } from 'zod';

/** Where spans go, and which. Off without an endpoint. */
export const tracingSection = z
  .strictObject({
    otlp_endpoint: z
      .url({ protocol: /^https?$/, error: 'expected an http or https URL' })
      .optional()
      .meta({ takes: 'URL' })
      .describe(
        'Base URL of an OpenTelemetry collector that takes OTLP over HTTP: http://127.0.0.1:4318. Spans go to /v1/traces below it. Default: OTEL_EXPORTER_OTLP_ENDPOINT; without either nothing is traced.',
      ),
    sample_ratio: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe(
        'Share of the traces that begin here which are kept, 0 to 1. Default: as OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say, or all.',
      ),
    caller_sampling: z
      .boolean()
      .default(true)
      .describe(
        'Trace what callers ask to be traced. false: of that, too, only the share of sample_ratio.',
      ),
    max_caller_spans_per_second: z
      .number()
      .positive()
      .max(1_000_000)
      .default(1000)
      .describe(
        'Spans a second that begin here because callers ask for it, ten times as many at once; calls beyond it are served untraced.',
      ),
  })
  .prefault({})
  .describe('spans for OpenTelemetry');

export type TracingConfig = z.output<typeof tracingSection>;
