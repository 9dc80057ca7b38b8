import { tensorFrom } from '@cabstand/tensor';
import { FrameRenderer } from './frames';
import { LiveArea } from './live-area';
import { TestScreen } from './screen.fixture';
import { createStyle } from './style';

const image = (level: number, width: number, height: number) => {
  const values = Array<number>(width * height * 3).fill(level);
  return tensorFrom('image', 'uint8', values, [height, width, 3]);
};
const chunk = (index: number, level: number, text = '') => ({
  ...{ index, position: index, turn: 0, text, outputs: [image(level, 6, 4)] },
});
const style = createStyle(false);

test('frames are drawn in place of each other, with a line that counts them', () => {
  const screen = new TestScreen();
  const size = () => ({ columns: 40, rows: 20 });
  const renderer = new FrameRenderer('image', { size, area: new LiveArea(), style });
  screen.write(renderer.chunk(chunk(0, 0)));
  screen.write(renderer.chunk(chunk(1, 255, 'ocean')));
  expect(screen.lines).toEqual(['@@@@@@', '@@@@@@', 'frame 1  6x4  ocean']);
  screen.write(renderer.finish({ reason: 'completed', steps: 2 }));
  expect(screen.lines.slice(2)).toEqual(['frame 1  6x4  ocean', 'completed after 2 frames', '']);
});

test('where nothing can be drawn over, a frame is a line without escape codes', () => {
  const size = () => ({ columns: 40, rows: 20 });
  const renderer = new FrameRenderer('image', { size, area: undefined, style });
  expect(renderer.chunk(chunk(3, 16))).toBe('     3  6x4  mean #101010\n');
  expect(renderer.finish({ reason: 'stopped', steps: 1 })).toBe('stopped after 1 frame\n');
});

test('a picture leaves room for what stands below it', () => {
  const area = new LiveArea();
  const screen = new TestScreen();
  screen.write(area.foot(['> ']));
  const size = () => ({ columns: 40, rows: 4 });
  const renderer = new FrameRenderer('image', { size, area, style });
  screen.write(renderer.chunk(chunk(0, 255)));
  expect(screen.lines).toEqual(['@@@', 'frame 0  6x4', '> ']);
});
