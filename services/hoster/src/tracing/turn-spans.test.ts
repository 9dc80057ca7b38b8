import { parseTrace } from '@cabstand/rpc';
import type { SessionEvent, SessionFacts } from '@cabstand/sessions';
import { FakeTracer } from '@cabstand/testing';
import { turnSpans } from './turn-spans';

const PARENT = parseTrace('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');

function facts(kind: string, trace = PARENT): SessionFacts {
  return {
    ...{ id: 's', principal: 'p', durable: true, position: 3, turn: 1, trace },
    epoch: { counter: 2, owner: '' },
    model: { name: 'm', version: '1', provider: 'cpu', signature: { kind } },
  } as unknown as SessionFacts;
}

function watching() {
  const tracer = new FakeTracer();
  const observe = turnSpans(tracer.getTracer());
  return { tracer, observe: (event: SessionEvent) => observe(event) };
}

test('a turn of a language model has a span, and its prompt and its steps one each', () => {
  const { tracer, observe } = watching();
  const session = facts('language-model');
  observe({ kind: 'waited', model: 'm', seconds: 0.5, trace: PARENT });
  observe({ kind: 'turn_started', session });
  observe({ kind: 'resumed', session });
  observe({ kind: 'first_chunk', session, seconds: 0.1 });
  for (let i = 0; i < 100; i++) observe({ kind: 'record', session });
  const generation = { prompt: 7, cached: 2, answer: 100 };
  const end = { reason: 'completed', steps: 100, generation } as const;
  observe({ kind: 'turn_ended', session, reason: 'completed', end });
  expect(tracer.spans.map(({ name }) => name)).toEqual([
    ...['cabstand.admission', 'cabstand.hoster_turn', 'cabstand.prefill', 'cabstand.steps'],
  ]);
  const [admission, turn, prefill, steps] = tracer.spans;
  expect(tracer.spans.every(({ ended }) => ended)).toBe(true);
  expect(admission!.parent).toMatchObject({ spanId: 'b7ad6b7169203331' });
  expect(turn).toMatchObject({
    parent: { spanId: 'b7ad6b7169203331' },
    status: { code: 0 },
    events: [{ name: 'resumed', attributes: { 'cabstand.position': 3 } }],
    attributes: {
      'cabstand.end_reason': 'completed',
      'cabstand.steps': 100,
      'gen_ai.usage.input_tokens': 7,
      'gen_ai.usage.output_tokens': 100,
    },
  });
  for (const part of [prefill, steps]) expect(part!.parent).toEqual(turn!.context);
});

test('a session that came before its turn began here says so in the span of that', () => {
  const { tracer, observe } = watching();
  const session = facts('stateful');
  observe({ kind: 'resumed', session });
  observe({ kind: 'turn_started', session });
  observe({ kind: 'turn_started', session });
  expect(tracer.spans.map(({ events }) => events.length)).toEqual([1, 0]);
});

test('a session that ends within its turn ends the span, as a failure unless it moved', () => {
  const { tracer, observe } = watching();
  const ends = ['migrated', 'lost', 'completed', 'evicted'] as const;
  for (const reason of ends) {
    const session = facts('stateful');
    observe({ kind: 'turn_started', session });
    observe({ kind: 'ended', session, end: { reason }, seconds: 1 });
  }
  const codes = tracer.spans.map(({ status, ended }) => ended && status.code);
  expect(codes).toEqual([0, 2, 0, 2]);
});

test('what failed says its reason only', () => {
  const { tracer, observe } = watching();
  const session = facts('stateful');
  observe({ kind: 'turn_started', session });
  const error = { reason: 'INPUT_SHAPE', message: 'a secret', metadata: {} } as const;
  const end = { reason: 'error', steps: 0, error } as const;
  observe({ kind: 'turn_ended', session, reason: 'error', end });
  expect(tracer.spans[0]).toMatchObject({ attributes: { 'error.type': 'INPUT_SHAPE' } });
  expect(JSON.stringify(tracer.spans)).not.toContain('secret');
});

test('an opening that is part of no trace leaves no span of its wait', () => {
  const { tracer, observe } = watching();
  observe({ kind: 'waited', model: 'm', seconds: 0, trace: undefined });
  expect(tracer.spans).toHaveLength(0);
});
