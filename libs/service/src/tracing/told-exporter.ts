import { ExportResultCode } from '@opentelemetry/core';
import type { ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from '../log';

/** Says once that spans do not arrive, and once that they do again. Nobody else hears of it. */
export class ToldExporter implements SpanExporter {
  readonly #inner: SpanExporter;
  readonly #logger: Pick<Logger, 'warn' | 'info'>;
  #failing = false;

  constructor(inner: SpanExporter, logger: Pick<Logger, 'warn' | 'info'>) {
    this.#inner = inner;
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#inner.export(spans, (result) => {
      this.#tell(result);
      done({ code: ExportResultCode.SUCCESS });
    });
  }

  forceFlush(): Promise<void> {
    return this.#inner.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.#inner.shutdown();
  }

  #tell({ code, error }: ExportResult): void {
    const failed = code !== ExportResultCode.SUCCESS;
    if (failed === this.#failing) return;
    this.#failing = failed;
    if (failed)
      this.#logger.warn({ problem: error?.message }, 'traces cannot be exported: they are dropped');
    else this.#logger.info('traces are exported again');
  }
}
