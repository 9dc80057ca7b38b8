import { CabstandError } from '@cabstand/core';
import { codecs } from '@cabstand/rpc';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { toStatus } from '../../libs/rpc/src/status';
import { caseFromJson, caseToJson, deadlineMs } from './call';
import type { Call, Outcome, Step } from './call';
import { slope } from './memory';
import { judge, read } from './oracle';

const SENT: readonly Step[] = [{ do: 'send', bytes: Buffer.from('2a03673270', 'hex') }];

function call(steps: readonly Step[] = [...SENT, { do: 'end' }]): Call {
  return {
    ...{ target: 'hoster-0', path: '/cabstand.v1.HosterService/rpc_inference_stream' },
    ...{ member: 'client', scheme: 'signature', requestStream: false, endless: false, steps },
  };
}

function outcome(fields: Partial<Outcome> = {}): Outcome {
  return { code: 0, message: '', details: undefined, replies: [], ms: 5, ...fields };
}

function found(one: Partial<Outcome>, of: Call = call()): string[] {
  const seen = outcome(one);
  return judge(of, seen, read(of, seen));
}

/** A refusal as a server sends it. */
function refused(error: CabstandError): Partial<Outcome> {
  const { code, details, metadata } = toStatus(error);
  const [bytes] = metadata.get('grpc-status-details-bin');
  return { code, message: details, details: Buffer.isBuffer(bytes) ? bytes : undefined };
}

test('a call that ended well and one that was refused for a reason are as they should be', () => {
  expect(found({})).toEqual([]);
  expect(found(refused(new CabstandError('SESSION_UNKNOWN', 'no session "a" is here')))).toEqual(
    [],
  );
});

test.each([
  ['status INTERNAL', { code: 13, message: 'x' }, /INTERNAL/],
  ['status UNKNOWN', { code: 2, message: 'x' }, /UNKNOWN/],
  ['reason INTERNAL', refused(new CabstandError('INTERNAL', 'x')), /INTERNAL/],
  ['a broken connection', { code: 14, message: 'reset' }, /connection/],
  ['no status', { code: undefined }, /no status/],
  ['a deadline that passed', { code: 4, ms: deadlineMs(call()) }, /hangs/],
  ['a path', { code: 3, message: `cannot open ${REPOSITORY_ROOT}/x` }, /inside/],
  ['a stack trace', { code: 3, message: 'x\n    at f (a:1:2)' }, /inside/],
  ['a mistake', { code: 3, message: "Cannot read properties of null (reading 'a')" }, /inside/],
  [
    'a path among the facts',
    refused(new CabstandError('MODEL_FAILED', 'x', { metadata: { file: '/home/a' } })),
    /inside/,
  ],
])('%s is found', (_name, one: Partial<Outcome>, expected) => {
  expect(found(one).join()).toMatch(expected);
});

test('what a turn ended with is looked at, too', () => {
  const error = { reason: 'INTERNAL', message: 'x', metadata: {} };
  const end = { reason: 'END_REASON_ERROR' as const, error };
  const reply = codecs.InferenceStreamResponse.encode({ record: { end_of_turn: end } });
  expect(found({ replies: [reply] })).toEqual(['rpc_inference_stream: reason INTERNAL']);
});

test('turns and steps are counted as they were completed', () => {
  const end = { reason: 'END_REASON_COMPLETED' as const, steps: 9 };
  const reply = codecs.InferenceStreamResponse.encode({ record: { end_of_turn: end } });
  expect(read(call(), outcome({ replies: [reply, reply] }))).toMatchObject({ turns: 2, steps: 18 });
});

test('a call whose caller never closes its side may go on until it is cancelled', () => {
  const late = { code: 4, ms: deadlineMs(call()) };
  expect(found(late, call([...SENT, { do: 'cancel' }]))).toEqual([]);
  expect(found(late, { ...call(), endless: true })).toEqual([]);
});

test('a large message has more time', () => {
  const large = call([{ do: 'send', bytes: Buffer.alloc(1_048_576) }, { do: 'end' }]);
  expect(deadlineMs(large)).toBeGreaterThan(deadlineMs(call()) + 5000);
});

test('a case is read as it was written', () => {
  const one = { finding: 'f', seed: 1, story: 2, calls: [call()] };
  expect(caseFromJson(caseToJson(one))).toEqual(one);
});

test('the slope is that of least squares', () => {
  const line = [0, 1, 2, 3].map((x) => [x, 5 + 2 * x] as const);
  expect(slope(line)).toBeCloseTo(2);
  const bent = [0, 1, 2].map((x) => [x, x === 1 ? 3 : 0] as const);
  expect(slope(bent)).toBeCloseTo(0);
  expect(slope([[1, 1]])).toBeNaN();
});
