// Preloaded into hosters whose event loop is measured: SIGUSR2 prints the longest time between two of its
// turns since the last one, and the longest processor time of the main thread in it: on a machine with other
// work the first is also what the process waited for a core.
if (/[\\/]hoster[\\/]/.test(process.argv[1] ?? '')) {
  const { openSync, readSync } = require('node:fs');
  const { performance } = require('node:perf_hooks');
  const { setInterval } = require('node:timers');
  const EVERY_MS = 1;
  // https://docs.kernel.org/scheduler/sched-stats.html: nanoseconds on a core, nanoseconds waiting, slices.
  const stat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  const buffer = Buffer.alloc(128);
  const processorMs = () => {
    const length = readSync(stat, buffer, 0, buffer.length, 0);
    return parseInt(buffer.toString('latin1', 0, length), 10) / 1e6;
  };
  let longest = { delay: 0, block: 0 };
  let at = performance.now();
  let used = processorMs();
  setInterval(() => {
    const now = performance.now();
    const usedNow = processorMs();
    longest.delay = Math.max(longest.delay, now - at - EVERY_MS);
    longest.block = Math.max(longest.block, usedNow - used);
    at = now;
    used = usedNow;
  }, EVERY_MS).unref();
  process.on('SIGUSR2', () => {
    process.stdout.write(`loop ${longest.delay.toFixed(2)} ${longest.block.toFixed(2)}\n`);
    longest = { delay: 0, block: 0 };
  });
}
