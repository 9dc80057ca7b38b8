import fc from 'fast-check';
import { frameLines } from './frame-lines';
import { visibleLength } from './style';

const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
const picture = (...pixels: readonly (readonly number[])[]): Uint8Array =>
  Uint8Array.from(pixels.flat());

test('two rows of pixels are a line: the upper one in front, the lower one behind', () => {
  expect(frameLines(picture(RED, BLUE), 1, 2, 80, 24)).toEqual([
    '\u001b[38;2;255;0;0;48;2;0;0;255m\u2580\u001b[0m',
  ]);
});

test('a colour is said once for neighbours that share it', () => {
  expect(frameLines(picture(RED, RED, BLUE, BLUE), 2, 2, 80, 24)).toEqual([
    '\u001b[38;2;255;0;0;48;2;0;0;255m\u2580\u2580\u001b[0m',
  ]);
});

test('the last line of an odd height has nothing behind it', () => {
  expect(frameLines(picture(RED), 1, 1, 80, 24)).toEqual([
    '\u001b[38;2;255;0;0;49m\u2580\u001b[0m',
  ]);
});

test('what does not fit is the mean of what it stands for', () => {
  const four = picture([0, 0, 0], [200, 0, 0], [0, 100, 0], [0, 0, 40]);
  // 2 by 2 pixels in one column: one pixel, the mean of the four.
  expect(frameLines(four, 2, 2, 1, 24)).toEqual(['\u001b[38;2;50;25;10;49m\u2580\u001b[0m']);
});

test('without colours there are shades, and no escape codes', () => {
  const grey = (level: number): number[] => [level, level, level];
  const pixels = picture(grey(0), grey(140), grey(255), grey(0), grey(140), grey(255));
  expect(frameLines(pixels, 3, 2, 80, 24, 'shades')).toEqual([' +@']);
});

test('it never takes more than there is room for, and every line is as long as the others', () => {
  const size = fc.integer({ min: 1, max: 70 });
  fc.assert(
    fc.property(size, size, size, size, fc.boolean(), (width, height, columns, rows, colour) => {
      const data = new Uint8Array(width * height * 3).fill(7);
      const lines = frameLines(data, width, height, columns, rows, colour ? 'colour' : 'shades');
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.length).toBeLessThanOrEqual(Math.min(rows, Math.ceil(height / 2)));
      const lengths = new Set(lines.map(visibleLength));
      expect(lengths.size).toBe(1);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(Math.min(columns, width));
    }),
  );
});
