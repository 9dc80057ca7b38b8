import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

// In a process of its own, as it runs: the binding knows the typed arrays of its own realm only.
test('what it warms up with is a manifest and a graph as models have them', () => {
  const built = join(__dirname, '../dist/warm.js');
  const script = `require(${JSON.stringify(built)}).warmUp().then(() => console.log('warm'))`;
  expect(execFileSync(process.execPath, ['-e', script]).toString()).toBe('warm\n');
});
