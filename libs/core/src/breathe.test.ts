import { breathe } from './breathe';

const iterations = async (work: Promise<unknown>): Promise<number> => {
  let count = 0;
  let over = false;
  const turn = (): void => {
    if (over) return;
    count++;
    setImmediate(turn);
  };
  setImmediate(turn);
  await work;
  over = true;
  return count;
};

test('work of many callers at once is not done in one go: the loop turns between two slices', async () => {
  const slices: string[] = [];
  const worker = async (name: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice++) {
      await breathe();
      slices.push(name);
    }
  };
  const turned = await iterations(Promise.all([worker('a'), worker('b'), worker('c')]));
  expect(slices).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
  expect(turned).toBeGreaterThanOrEqual(8);
});
