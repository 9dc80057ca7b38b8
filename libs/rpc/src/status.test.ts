import { Metadata } from '@grpc/grpc-js';
import { BARE_STATUS, CabstandError, Code, REASONS } from '@cabstand/core';
import type { CodeName, Reason } from '@cabstand/core';
import fc from 'fast-check';
import { fromDuration, fromStatus, publicError, toDuration, toStatus } from './status';
import { traceHeaders, traceOf } from './trace';

const reasons = Object.keys(REASONS) as Reason[];

test('every reason with any facts survives the wire', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...reasons),
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      // Facts have identifiers for names; protobufjs drops `__proto__`.
      fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,19}$/), fc.string({ maxLength: 50 }), {
        maxKeys: 10,
        noNullPrototype: true,
      }),
      fc.option(fc.integer({ min: 0, max: 1e9 }), { nil: undefined }),
      (reason, message, metadata, retryAfterMs) => {
        const options = { metadata, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
        const status = toStatus(new CabstandError(reason, message, options));
        const back = fromStatus(status.code, status.details, status.metadata);
        expect(back).toMatchObject({ reason, message, retryAfterMs });
        expect({ ...back.metadata }).toEqual(metadata);
      },
    ),
  );
});

test('a message that no header can carry is mended', () => {
  const status = toStatus(new CabstandError('INTERNAL', `\ud800${'𝄞'.repeat(5000)}`));
  expect(() => encodeURI(status.details)).not.toThrow();
  expect(status.details.length).toBeLessThanOrEqual(2048);
});

test('a bare status means what the table says', () => {
  for (const [name, code] of Object.entries(Code) as [CodeName, number][])
    expect(fromStatus(code, 'x', new Metadata()).reason).toBe(BARE_STATUS[name]);
  expect(fromStatus(99, '', undefined).reason).toBe('NODE_BAD_REPLY');
});

test.each(['Received message larger than max (9 vs 8)', 'Sent message larger than max (9 vs. 8)'])(
  'whoever meets a limit of message sizes hears which settings they are: %s',
  (said) => {
    expect(fromStatus(Code.RESOURCE_EXHAUSTED, said, undefined)).toMatchObject({
      reason: 'MESSAGE_TOO_LARGE',
      message: expect.stringMatching(
        / 9 bytes.* 8: maxMessageBytes .*rpc.max_message_bytes/,
      ) as string,
      metadata: { bytes: '9', limit: '8' },
    });
  },
);

test('details that cannot be read, or are somebody else’s, count as none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const metadata = new Metadata();
      metadata.set('grpc-status-details-bin', Buffer.from(bytes));
      expect(fromStatus(14, 'x', metadata).reason).toBe('NODE_UNREACHABLE');
    }),
  );
});

test('only errors written for callers reach them', () => {
  expect(publicError(new Error('secret')).message).not.toContain('secret');
  const known = new CabstandError('NO_NODE', 'no node');
  expect(publicError(known)).toBe(known);
});

test('durations survive', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => {
      expect(fromDuration(toDuration(ms))).toBeCloseTo(ms, 3);
    }),
  );
  expect(fromDuration(null)).toBeUndefined();
});

test('a trace passes through, a malformed one does not', () => {
  const metadata = new Metadata();
  expect(traceOf(metadata)).toBeUndefined();
  metadata.set('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  metadata.set('tracestate', 'a=b');
  expect(traceHeaders(traceOf(metadata))).toEqual({
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'a=b',
  });
  metadata.set('traceparent', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`);
  expect(traceOf(metadata)).toBeUndefined();
});
