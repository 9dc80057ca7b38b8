import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import { refuseInexact } from './exact-json';

function refused(json: string): CabstandError | undefined {
  try {
    refuseInexact(json);
    return undefined;
  } catch (thrown) {
    return CabstandError.from(thrown);
  }
}

test.each([
  ['{"seed":9007199254740993}', 'seed', '9007199254740993'],
  ['{"a":"1","seed" : -9007199254740993 }', 'seed', '-9007199254740993'],
  ['{"a":[1,2,18446744073709551615]}', 'a', '18446744073709551615'],
  ['{"a\\"b":99999999999999999999}', 'a\\"b', '99999999999999999999'],
])('%s is refused with what was sent', (json, name, value) => {
  expect(refused(json)).toMatchObject({
    reason: 'PARAMETER_INVALID',
    message: `parameter ${name}: got ${value}, expected 9007199254740991 at most as a number; beyond that, decimal text ("…")`,
    metadata: { value },
  });
});

test.each([
  '{"seed":9007199254740991}',
  '{"seed":9007199254740992}',
  '{"seed":"9007199254740993"}',
  '{"9007199254740993":1}',
  '{"text":"say \\"9007199254740993\\", 9007199254740993"}',
  '{"x":0.12345678901234567890123,"y":1234567890123456789.5,"z":12345678901234567e3}',
])('%s is nobody’s harm', (json) => {
  expect(refused(json)).toBeUndefined();
});

test('whatever is not refused is parsed as it was sent', () => {
  const integer = fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n });
  fc.assert(
    fc.property(fc.string(), fc.string(), integer, (name, text, value) => {
      const json = `{${JSON.stringify(`a${name}`)}:${JSON.stringify(text)},"n":[1,${value}]}`;
      const parsed = JSON.parse(json) as { n: [number, number] };
      if (refused(json) === undefined) expect(BigInt(parsed.n[1])).toBe(value);
      else expect(refused(json)?.metadata['value']).toBe(value.toString());
    }),
  );
});
