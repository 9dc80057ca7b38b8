// Generates the TypeScript types of the contract in proto/ into libs/rpc/src/generated.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const loader = path.dirname(
  createRequire(import.meta.url).resolve('@grpc/proto-loader/package.json'),
);
const out = path.join(root, 'libs/rpc/src/generated');
rmSync(out, { recursive: true, force: true });
execFileSync(
  process.execPath,
  [
    path.join(loader, 'build/bin/proto-loader-gen-types.js'),
    '--keepCase',
    '--longs=Number',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--grpcLib=@grpc/grpc-js',
    `--includeDirs=${path.join(root, 'proto')}`,
    `--outDir=${out}`,
    'cabstand/v1/router.proto',
    'cabstand/v1/hoster.proto',
    'google/rpc/status.proto',
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);
