import { mkdirSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLog } from '../engines/observer';
import { CoreBudget } from './core-budget';
import { Gate } from './gate';
import { availableMemory, checkMemory } from './memory';
import { resolveModelHostOptions } from './options';
import { ModelRepository } from './repository';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'mr-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

test('a gate lets as many through as it says, in order, whatever fails', async () => {
  const gate = new Gate(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const task = (n: number) =>
    gate.run(async () => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      order.push(n);
      running -= 1;
      if (n === 1) throw new Error('one');
    });
  const all = await Promise.allSettled([0, 1, 2, 3, 4].map(task));
  expect(all.map((r) => r.status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ]);
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(most).toBe(2);
  await expect(gate.run(() => Promise.resolve('again'))).resolves.toBe('again');
});

test('too many threads are said once, when it begins', () => {
  const warned: object[] = [];
  const budget = new CoreBudget(2, { ...silentLog, warn: (fields) => void warned.push(fields) });
  budget.take(1);
  budget.take(1);
  expect(warned).toEqual([]);
  budget.take(1);
  budget.take(1);
  expect(warned).toEqual([{ threads: 3, cores: 2 }]);
  budget.release(1);
  budget.release(1);
  budget.take(1);
  expect(warned).toHaveLength(2);
});

test('a model that does not fit is refused with both numbers', () => {
  expect(availableMemory()).toBeGreaterThan(0);
  checkMemory('m', 100, 100);
  expect(() => {
    checkMemory('m', 101, 100);
  }).toThrow(
    expect.objectContaining({
      reason: 'OUT_OF_MEMORY',
      metadata: { needed_bytes: '101', available_bytes: '100' },
    }) as Error,
  );
});

test('a repository finds models, the first folder first, and names what it has not', async () => {
  const put = (...parts: string[]): void => {
    const folder = path.join(root, ...parts);
    mkdirSync(path.join(folder, '1'), { recursive: true });
    writeFileSync(path.join(folder, 'model.yaml'), '');
    utimesSync(folder, 0, 0);
  };
  put('a', 'one');
  put('a', 'two');
  put('b', 'two');
  put('b', 'three');
  mkdirSync(path.join(root, 'b', 'no-manifest'));
  const repository = new ModelRepository([path.join(root, 'a'), path.join(root, 'b')]);
  expect(
    [...(await repository.scan())].map(([name, { folder }]) => [
      name,
      path.basename(path.dirname(folder)),
    ]),
  ).toEqual([
    ['one', 'a'],
    ['two', 'a'],
    ['three', 'b'],
  ]);
  await expect(repository.find('two', '1')).resolves.toMatchObject({
    name: 'two',
    folder: path.join(realpathSync(root), 'a', 'two'),
  });
  await expect(repository.find('two', '2')).rejects.toMatchObject({ reason: 'MODEL_NOT_HERE' });
  await expect(repository.find('../a/one', undefined)).rejects.toMatchObject({
    reason: 'MODEL_NOT_HERE',
  });
  await expect(new ModelRepository([path.join(root, 'c')]).scan()).rejects.toThrow('models: got');
  expect(() => new ModelRepository([])).toThrow('at least one folder');
});

test('options are checked by name', () => {
  expect(() => resolveModelHostOptions({ repositories: ['x'], drainMs: -1 })).toThrow(
    'models.drainMs: got -1',
  );
});
