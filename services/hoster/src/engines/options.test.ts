import { totalmem } from 'node:os';
import { resolveEngineOptions } from './options';

test('defaults are complete and within what they allow', () => {
  const options = resolveEngineOptions();
  expect(options.command[0]).toBe(process.execPath);
  expect(options).toMatchObject({ threads: 1, nice: 5, sessionsPerModel: 1024, stallMs: 2_000 });
  expect(options.maxMemoryBytes).toBeGreaterThan(0);
  // One engine never has all that the machine has.
  expect(options.maxMemoryBytes).toBeLessThanOrEqual(totalmem() * 0.8);
});

test.each([
  [{ threads: 0 }, 'engines.threads: got 0'],
  [{ threads: 9, cores: 8 }, 'engines.threads: got 9, expected at most engines.cores (8)'],
  [{ nice: 20 }, 'engines.nice: got 20'],
  [{ spares: -1 }, 'engines.spares: got -1, expected 0 to 16'],
  [{ stallMs: Number.NaN }, 'engines.stallMs'],
  [{ maxStateBytes: 1.5 }, 'engines.maxStateBytes: got 1.5'],
  [{ command: [] }, 'engines.command'],
])('%j is refused by name', (options, message) => {
  expect(() => resolveEngineOptions(options)).toThrow(message);
});
