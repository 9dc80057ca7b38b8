import { bytesHead, varintField, varintSize, writeVarint } from './protobuf';

test.each([
  [0, '00'],
  [1, '01'],
  [127, '7f'],
  [128, '8001'],
  [300, 'ac02'],
  [2 ** 32, '8080808010'],
  [Number.MAX_SAFE_INTEGER, 'ffffffffffffff0f'],
])('%d as a varint is %s', (value, hex) => {
  const out = Buffer.alloc(10);
  const end = writeVarint(out, 0, value);
  expect(out.subarray(0, end).toString('hex')).toBe(hex);
  expect(varintSize(value)).toBe(end);
});

test('zero is left out of a field, and is written as a length', () => {
  expect(varintField(0x08, 0)).toHaveLength(0);
  expect(varintField(0x08, 300).toString('hex')).toBe('08ac02');
  expect(bytesHead(0x12, 0).toString('hex')).toBe('1200');
});
