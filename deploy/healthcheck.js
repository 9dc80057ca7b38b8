// Asks the admin server of this container whether the service is ready: `node healthcheck.js PORT`.
const port = process.argv[2];
fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1500) }).then(
  (response) => process.exit(response.ok ? 0 : 1),
  () => process.exit(1),
);
