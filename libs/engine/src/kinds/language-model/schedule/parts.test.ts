import { SMALL_PART, partOf } from './parts';

test('no prompt of several tokens has a part of one', () => {
  for (let prompt = 2; prompt <= 400; prompt += 1) {
    for (const most of [undefined, SMALL_PART]) {
      const parts = partsOf(prompt, most);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(prompt);
      expect(Math.min(...parts)).toBeGreaterThan(1);
      expect(Math.max(...parts)).toBeLessThanOrEqual(64);
    }
  }
  expect(partOf(1)).toBe(1);
});

test('beside running answers parts are small, but the end of a prompt is not divided', () => {
  expect(partsOf(64, SMALL_PART)).toEqual([64]);
  expect(partsOf(65, SMALL_PART)).toEqual([32, 33]);
  expect(partsOf(150, SMALL_PART)).toEqual([32, 32, 32, 54]);
});

function partsOf(prompt: number, most?: number): number[] {
  const parts: number[] = [];
  for (let left = prompt; left > 0; left -= parts.at(-1) ?? 0) parts.push(partOf(left, most));
  return parts;
}
