import { LiveArea } from './live-area';
import { TestScreen } from './screen.fixture';

test('the body is drawn in place, and text goes by above it', () => {
  const [area, screen] = [new LiveArea(), new TestScreen()];
  screen.write(area.foot(['> ']));
  screen.write(area.body(['a1', 'a2']));
  screen.write(area.body(['b1', 'b2']));
  expect(screen.lines).toEqual(['b1', 'b2', '> ']);
  screen.write(area.above('said\n'));
  expect(screen.lines).toEqual(['said', 'b1', 'b2', '> ']);
  screen.write(area.foot(['> set']));
  expect(screen.lines).toEqual(['said', 'b1', 'b2', '> set']);
});

test('a smaller body leaves nothing of a larger one', () => {
  const [area, screen] = [new LiveArea(), new TestScreen()];
  screen.write(area.body(['long line', 'second', 'third']));
  screen.write(area.body(['x']));
  expect(screen.lines).toEqual(['x']);
});

test('what is left stays, and the next thing comes below it', () => {
  const [area, screen] = [new LiveArea(), new TestScreen()];
  screen.write(area.body(['picture']));
  screen.write(area.leave());
  screen.write('completed\n');
  expect(screen.lines).toEqual(['picture', 'completed', '']);
});
