/** Writes the same bytes into a Unix socket again and again, as fast as they are read. */
import { connect } from 'node:net';

const [, , socketPath, size] = process.argv;
const bytes = Buffer.alloc(Number(size), 1);
const socket = connect(socketPath ?? '');

function write(): void {
  while (socket.write(bytes));
}

socket.on('connect', write);
socket.on('drain', write);
socket.on('error', () => socket.destroy());
socket.on('close', () => process.exit(0));
