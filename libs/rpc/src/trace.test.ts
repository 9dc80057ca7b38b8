import { Metadata } from '@grpc/grpc-js';
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { contextOf, traceOfSpan } from './spans';
import { parseTrace, traceHeaders, traceIdOf, traceOf } from './trace';

const ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const GOOD = `00-${ID}-${SPAN}-01`;

test.each([
  ['as it is', GOOD, GOOD],
  ['not sampled', `00-${ID}-${SPAN}-00`, `00-${ID}-${SPAN}-00`],
  ['flags that are not known', `00-${ID}-${SPAN}-ff`, GOOD],
  ['a later version', `cc-${ID}-${SPAN}-01`, GOOD],
  ['a later version with more fields', `cc-${ID}-${SPAN}-01-what-ever`, GOOD],
])('%s is taken as version 00', (_, given, taken) => {
  expect(parseTrace(given)).toEqual({ traceparent: taken });
});

test.each([
  ['nothing', undefined],
  ['bytes', Buffer.from(GOOD)],
  ['empty', ''],
  ['version ff', `ff-${ID}-${SPAN}-01`],
  ['no trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['no span', `00-${ID}-${'0'.repeat(16)}-01`],
  ['capitals', GOOD.toUpperCase()],
  ['more fields than version 00 has', `${GOOD}-more`],
  ['too short', GOOD.slice(0, -1)],
  ['a line behind it', `${GOOD}\n`],
  ['too long', `cc-${ID}-${SPAN}-01-${'x'.repeat(100)}`],
])('%s is no trace context', (_, given) => {
  expect(parseTrace(given)).toBeUndefined();
});

test('state goes along as far as it is printable and short, and without a parent not at all', () => {
  expect(parseTrace(GOOD, 'a=b,c=d')).toEqual({ traceparent: GOOD, tracestate: 'a=b,c=d' });
  for (const state of ['', 'a=\u0000', 'a=ä', 'x'.repeat(513), 7])
    expect(parseTrace(GOOD, state)).toEqual({ traceparent: GOOD });
  expect(parseTrace('nonsense', 'a=b')).toBeUndefined();
});

test('a call that names two parents names none', () => {
  const metadata = new Metadata();
  metadata.add('traceparent', GOOD);
  expect(traceOf(metadata)).toEqual({ traceparent: GOOD });
  metadata.add('traceparent', GOOD);
  expect(traceOf(metadata)).toBeUndefined();
});

test('what a span is told to be part of is what its calls tell', () => {
  const given = { traceparent: GOOD, tracestate: 'a=b' };
  const span = trace.getSpan(contextOf(given))!;
  expect(span.spanContext()).toMatchObject({ traceId: ID, spanId: SPAN, isRemote: true });
  expect(traceHeaders(traceOfSpan(span))).toEqual(given);
  expect(traceIdOf(given)).toBe(ID);
  expect(trace.getSpanContext(contextOf({ ...given, local: true }))).toMatchObject({
    isRemote: false,
  });
  expect(contextOf(undefined)).toBe(ROOT_CONTEXT);
});
