import { partOf } from './parts';

test('no prompt of several tokens has a part of one', () => {
  for (let prompt = 2; prompt <= 400; prompt += 1) {
    const parts: number[] = [];
    for (let left = prompt; left > 0; left -= parts.at(-1) ?? 0) parts.push(partOf(left));
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(prompt);
    expect(Math.min(...parts)).toBeGreaterThan(1);
    expect(Math.max(...parts)).toBeLessThanOrEqual(64);
  }
  expect(partOf(1)).toBe(1);
});
