// Preloaded into hosters whose event loop is measured: SIGUSR2 prints the longest delay since the last one.
if (/[\\/]hoster[\\/]/.test(process.argv[1] ?? '')) {
  const { monitorEventLoopDelay } = require('node:perf_hooks');
  const RESOLUTION_MS = 1;
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  process.on('SIGUSR2', () => {
    const longest = Math.max(0, delays.max / 1e6 - RESOLUTION_MS);
    delays.reset();
    process.stdout.write(`loop-delay-ms ${longest.toFixed(2)}\n`);
  });
}
