import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { REPOSITORY_ROOT, Subnet, freePorts } from '@cabstand/testing';
import { speech, variation } from '../support/audio';
import { TestClient } from '../support/client';
import { Collector } from '../support/collector';
import { Gateway } from '../support/gateway';

const MODEL = 'silero-vad';
/** A busy machine takes its time to start processes. */
const START_MS = 240_000;
/** Begun outside of the subnet. */
const OUTSIDE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';
jest.setTimeout(START_MS);

let collector: Collector;
let subnet: Subnet;
let settings: { readonly tracing: { readonly otlp_endpoint: string } };

beforeAll(async () => {
  collector = await Collector.start();
  settings = { tracing: { otlp_endpoint: collector.url } };
  subnet = await Subnet.start({
    auth: 'none',
    routerConfig: settings,
    hosterConfig: { ...settings, only: [MODEL] },
    readyMs: START_MS,
  });
}, START_MS);

afterAll(async () => {
  await (subnet as Subnet | undefined)?.stop();
  await collector[Symbol.asyncDispose]();
});

test('services that trace nothing do not load the SDK', () => {
  const services = ['router', 'hoster', 'gateway'].map((name) =>
    path.join(REPOSITORY_ROOT, 'services', name, 'dist/index.js'),
  );
  const client = path.join(REPOSITORY_ROOT, 'libs/client/dist/index.js');
  const script = `
    for (const file of ${JSON.stringify([...services, client])}) require(file);
    const loaded = Object.keys(require.cache).filter((file) => file.includes('@opentelemetry'));
    console.log(JSON.stringify([...new Set(loaded.map((file) => file.split('@opentelemetry')[1].split(/[\\\\/]/)[1]))]));`;
  const printed = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  expect(JSON.parse(printed)).toEqual(['api']);
});

// First: a tracer that this process has once, it keeps.
test('a trace that begins outside goes on by HTTP through a gateway to a hoster', async () => {
  const traceId = OUTSIDE;
  const [port] = await freePorts(1);
  const listen = `127.0.0.1:${String(port)}`;
  await using _gateway = await Gateway.start(subnet, { ...settings, http: { listen } });
  const audio = { dtype: 'float32', data: new Array<number>(512).fill(0.125) };
  const response = await fetch(`http://${listen}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-${CALLER}-01` },
    body: JSON.stringify({ model: MODEL, tensors: { audio } }),
  });
  expect(await response.text()).toContain('completed');
  const call = await collector.span('cabstand.v1.HosterService/rpc_inference_stream');
  const turn = await collector.span('cabstand.turn');
  const served = await collector.span('cabstand.hoster_turn');
  expect(call).toMatchObject({ traceId, parent: CALLER, service: 'cabstand-gateway' });
  expect(turn).toMatchObject({ traceId, parent: call.spanId, service: 'cabstand-gateway' });
  expect(served).toMatchObject({ traceId, parent: turn.spanId, service: 'cabstand-hoster' });
  expect(collector.text).not.toContain('0.125');
  // A hoster's histograms name that trace.
  const pages = await Promise.all(
    subnet.hosters.map(async ({ admin }) => (await fetch(`http://${admin}/metrics`)).text()),
  );
  const exemplar = new RegExp(
    `^cabstand_first_chunk_seconds_bucket\\{.*\\} 1 # \\{trace_id="${traceId}"\\}`,
    'm',
  );
  expect(pages.filter((page) => exemplar.test(page))).toHaveLength(1);
});

test('sigkill to a hoster within a turn: client, router and both hosters tell of one trace', async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  trace.setGlobalTracerProvider(provider);
  await using client = new TestClient(subnet);
  await using session = client.session(MODEL);
  const audio = variation(speech(), 1, 512 * 3000);
  let killed: string | undefined;
  for await (const _ of session.runProtocolTask(undefined, { audio })) {
    if (killed !== undefined) continue;
    // What it has told by then outlives it.
    await collector.span('cabstand.admission', ({ traceId }) => traceId !== OUTSIDE);
    killed = session.node?.address;
    subnet.hosters.find(({ address }) => address === killed)?.child.kill('SIGKILL');
  }
  trace.disable();

  // What the client has made; the others have sent theirs.
  const own = exporter.getFinishedSpans();
  const turn = own.find(({ name }) => name === 'cabstand.turn')!;
  const { traceId, spanId } = turn.spanContext();
  const here = (span: { readonly traceId: string }): boolean => span.traceId === traceId;
  const atHoster = await collector.span('cabstand.hoster_turn', here);
  const steps = await collector.span('cabstand.steps', here);
  const served = await collector.span('cabstand.v1.RouterService/rpc_acquire', here);
  const asked = own.find((span) => span.spanContext().spanId === served.parent)!;
  const admissions = collector.spans.filter(
    (span) => here(span) && span.name === 'cabstand.admission',
  );
  expect(turn.parentSpanContext).toBeUndefined();
  expect(asked.parentSpanContext).toMatchObject({ traceId, spanId });
  expect(served.service).toBe('cabstand-router');
  expect(atHoster.parent).toBe(spanId);
  expect(steps.parent).toBe(atHoster.spanId);
  // One hoster was killed, and the other one took over.
  expect(new Set(admissions.map(({ instance }) => instance)).size).toBe(2);
  expect(admissions.every(({ parent }) => parent === spanId)).toBe(true);
  expect(turn.events.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['opened', 'recovering', 'recovered']),
  );
  expect(atHoster.events.map(({ name }) => name)).toContain('resumed');
  expect(turn.attributes).toMatchObject({ 'cabstand.end_reason': 'completed' });
  expect(atHoster.attributes).toMatchObject({ 'cabstand.model': MODEL, 'cabstand.turn': 0 });
});
