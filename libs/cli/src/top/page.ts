import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

/** One number of a Prometheus page. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface PageOptions {
  /** Sent as bearer token. */
  readonly token?: string | undefined;
  /** File of the authority (PEM) that the server's certificate is checked against. Default: the system's. */
  readonly ca?: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A page of metrics is some hundred kilobytes; whatever is larger is none. */
const MOST_BYTES = 16 * 1024 * 1024;

/** The text of a page. Rejects with what is wrong, in a few words. */
export function readPage(url: string, options: PageOptions): Promise<string> {
  const { token, ca, timeoutMs, signal } = options;
  const secure = url.startsWith('https:');
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).get(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(secure && ca !== undefined ? { ca: readFileSync(ca) } : {}),
    });
    request.on('error', (error) =>
      reject(error.name === 'AbortError' ? new Error('no answer') : error),
    );
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        request.destroy();
        reject(
          new Error(
            `HTTP ${response.statusCode}${response.statusCode === 401 ? ': wrong or no token (--metrics-token-file)' : ''}`,
          ),
        );
        return;
      }
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > MOST_BYTES) request.destroy(new Error('the page is too large'));
        else parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(parts).toString()));
    });
  });
}

/** Behind the value there may be a time and, in OpenMetrics, an exemplar with labels of its own. */
const LINE = /^([A-Za-z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The samples of these names. Lines that are none are left out. */
export function samplesOf(page: string, names: ReadonlySet<string>): Sample[] {
  const samples: Sample[] = [];
  for (const line of page.split('\n')) {
    const [, name = '', labels = '', value = ''] = LINE.exec(line) ?? [];
    if (!names.has(name)) continue;
    samples.push({ name, labels: labelsOf(labels), value: numberOf(value) });
  }
  return samples;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, key = '', value = ''] of text.matchAll(LABEL))
    labels[key] = value.replace(/\\(.)/g, (_, escaped: string) =>
      escaped === 'n' ? '\n' : escaped,
    );
  return labels;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}
