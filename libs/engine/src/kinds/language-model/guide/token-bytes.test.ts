import { TokenBytes } from './token-bytes';

const allowed = (mask: Int32Array): number[] =>
  Array.from({ length: 32 }, (_, id) => id).filter((id) => (((mask[0] ?? 0) >>> id) & 1) === 1);

test.each([
  [
    'byte_fallback',
    ['a', '<0x0A>', '<0xC0>', '<0xE0>', '<0x80>', '<0xA0>', '日', '<0xFF>', '', '<0xF4>'],
  ],
  // The letters of the same bytes.
  ['byte_level', ['a', 'Ċ', 'À', 'à', 'Ģ', 'ł', 'æĹ¥', 'ÿ', '', 'ô']],
] as const)('%s: tokens that make no UTF-8 are taken out of masks', (type, tokens) => {
  const bytes = new TokenBytes({ tokens, type });
  const after = (last: number | undefined, json = false): number[] => {
    const mask = Int32Array.of(0x3ff);
    bytes.forbid(mask, last, json);
    return allowed(mask);
  };
  expect(after(undefined)).toEqual([0, 1, 3, 4, 5, 6, 8, 9]);
  expect(after(0, true)).toEqual([0, 3, 4, 5, 6, 8, 9]);
  // 0xe0 is followed by 0xa0 to 0xbf, 0xf4 by 0x80 to 0x8f.
  expect(after(3)).toEqual([5, 8]);
  expect(after(9)).toEqual([4, 8]);
});
