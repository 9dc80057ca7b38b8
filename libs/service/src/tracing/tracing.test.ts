import { ExportResultCode } from '@opentelemetry/core';
import { SamplingDecision } from '@opentelemetry/sdk-trace';
import { INVALID_SPAN_CONTEXT, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { CabstandError, FakeClock } from '@cabstand/core';
import { HosterService, contextOf, parseTrace } from '@cabstand/rpc';
import type { MethodInfo } from '@cabstand/rpc';
import { FakeTracer } from '@cabstand/testing';
import { callSpans } from './call-spans';
import { PacedSampler } from './paced-sampler';
import { samplerOf } from './sdk';
import { ToldExporter } from './told-exporter';

const TRACE = parseTrace('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')!;
const caller = { principal: { id: 'p', roles: new Set<never>() }, peer: '127.0.0.1:1' };
const { rpc_inference_stream: turn, rpc_info: info, rpc_session_stream: stream } = HosterService;

function call(tracer: FakeTracer, { info }: { readonly info: MethodInfo }) {
  return callSpans(tracer.getTracer()).started(info);
}

test('a call has a span when its caller is known, and what it causes is part of that', () => {
  const tracer = new FakeTracer();
  const observation = call(tracer, turn);
  expect(tracer.spans).toHaveLength(0);
  const inner = observation.letIn!({ ...caller, trace: TRACE });
  const [span] = tracer.spans;
  expect(span).toMatchObject({
    name: 'cabstand.v1.HosterService/rpc_inference_stream',
    options: { kind: SpanKind.SERVER },
    parent: { spanId: 'b7ad6b7169203331', isRemote: true },
  });
  expect(inner).toMatchObject({ local: true });
  expect(inner!.traceparent).toContain(span!.context.spanId);
  observation.finished(new CabstandError('NO_NODE', 'a secret prompt'), caller);
  expect(span).toMatchObject({ ended: true, attributes: { 'error.type': 'NO_NODE' } });
  expect(JSON.stringify(tracer.spans)).not.toContain('secret');
});

test('who proves nothing makes no span, nor does what is asked all the time', () => {
  const tracer = new FakeTracer();
  call(tracer, turn).finished(new CabstandError('UNAUTHENTICATED', 'no'), { peer: 'x' });
  expect(call(tracer, info).letIn!(caller)).toBeUndefined();
  expect(call(tracer, stream).letIn!({ ...caller, trace: TRACE })).toBeUndefined();
  expect(tracer.spans).toHaveLength(0);
  call(tracer, turn).letIn!(caller);
  expect(tracer.spans[0]).toMatchObject({ parent: undefined });
});

describe('sampling', () => {
  const decide = (callerSampling: boolean, ratio: number, context = contextOf(TRACE)) =>
    samplerOf({ ratio, callerSampling, callerSpansPerSecond: 1 }).shouldSample(
      context,
      '0af7651916cd43dd8448eb211c80319c',
      'x',
      SpanKind.SERVER,
      {},
      [],
    ).decision;

  test('callers are believed where that is configured', () => {
    expect(decide(true, 0)).toBe(2);
    expect(decide(false, 0)).toBe(0);
    expect(decide(true, 0, ROOT_CONTEXT)).toBe(0);
    expect(decide(true, 1, ROOT_CONTEXT)).toBe(2);
    const no = contextOf({ traceparent: TRACE.traceparent.replace(/1$/, '0') });
    expect(decide(true, 1, no)).toBe(0);
    expect(decide(false, 1, trace.setSpanContext(ROOT_CONTEXT, INVALID_SPAN_CONTEXT))).toBe(2);
  });

  test('those who ask for traces get so many a second', async () => {
    const clock = new FakeClock();
    const sampler = new PacedSampler(2, clock);
    const taken = (): number => {
      let count = 0;
      while (sampler.shouldSample().decision === SamplingDecision.RECORD_AND_SAMPLED) count++;
      return count;
    };
    expect(taken()).toBe(20);
    await clock.advance(1000);
    expect(taken()).toBe(2);
  });
});

test('that spans do not arrive is said once, and once that they do again', () => {
  const said: string[] = [];
  let code = ExportResultCode.FAILED;
  const exporter = new ToldExporter(
    { export: (_, done) => done({ code }), shutdown: () => Promise.resolve() },
    {
      warn: (_: object, message: string) => said.push(`warn: ${message}`),
      info: (message: string) => said.push(`info: ${message}`),
    } as never,
  );
  const results: number[] = [];
  const send = (): void => exporter.export([], (result) => results.push(result.code));
  send();
  send();
  code = ExportResultCode.SUCCESS;
  send();
  send();
  expect(said).toEqual([
    'warn: traces cannot be exported: they are dropped',
    'info: traces are exported again',
  ]);
  expect(results).toEqual([0, 0, 0, 0]);
});
