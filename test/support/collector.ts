/** A collector of OpenTelemetry: takes OTLP as JSON over HTTP, and keeps what it gets. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '@cabstand/testing';

interface Attribute {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: number;
    readonly doubleValue?: number;
    readonly boolValue?: boolean;
  };
}

interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly Attribute[];
  readonly events: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[];
  readonly status: { readonly code: number };
}

interface Batch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

type Values = Readonly<Record<string, unknown>>;

export interface CollectedSpan extends Pick<
  WireSpan,
  'name' | 'traceId' | 'spanId' | 'kind' | 'status'
> {
  readonly parent: string | undefined;
  readonly service: unknown;
  /** Of the process. */
  readonly instance: unknown;
  readonly attributes: Values;
  readonly events: readonly { readonly name: string; readonly attributes: Values }[];
}

export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  /** All that came, as text. */
  text = '';
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const text = Buffer.concat(parts).toString();
        this.text += text;
        this.#take(JSON.parse(text) as Batch);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.#server.listen(0, '127.0.0.1', resolve));
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Waits for a span. */
  async span(
    name: string,
    fits: (span: CollectedSpan) => boolean = () => true,
  ): Promise<CollectedSpan> {
    return await until(
      `a span ${name}`,
      () => Promise.resolve(this.spans.find((span) => span.name === name && fits(span))),
      { timeoutMs: 60_000 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take({ resourceSpans }: Batch): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const process = valuesOf(resource.attributes);
      for (const span of scopeSpans.flatMap(({ spans }) => spans))
        this.spans.push({
          ...span,
          parent: span.parentSpanId === '' ? undefined : span.parentSpanId,
          service: process['service.name'],
          instance: process['service.instance.id'],
          attributes: valuesOf(span.attributes),
          events: span.events.map(({ name, attributes }) => ({
            ...{ name, attributes: valuesOf(attributes) },
          })),
        });
    }
  }
}

function valuesOf(attributes: readonly Attribute[]): Values {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0] as unknown]),
  );
}
