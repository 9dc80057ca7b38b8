// Asks the admin server of this container whether the service is ready: `node healthcheck.js PORT`.
const http = require('node:http');
const https = require('node:https');

const [port] = process.argv.slice(2);
setTimeout(() => process.exit(1), 1500);

// Over TLS or without, as the service is configured. Its certificate is not checked: this dials loopback,
// sends no secret, and learns nothing but ready or not.
ask(https, () => ask(http, () => process.exit(1)));

function ask({ get }, failed) {
  const options = { host: '127.0.0.1', port, path: '/readyz', rejectUnauthorized: false };
  get(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', failed);
}
