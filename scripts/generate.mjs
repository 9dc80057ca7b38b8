// Generates what the contract in proto/ becomes in code: its TypeScript types in libs/rpc/src/generated,
// its descriptors in libs/service/src/generated.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { resolve } = createRequire(import.meta.url);
const loader = path.dirname(resolve('@grpc/proto-loader/package.json'));
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

// Reflection needs descriptors as a compiler makes them: those that the loader derives lack imports.
const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-descriptors-'));
try {
  cpSync(path.join(root, 'proto'), scratch, { recursive: true });
  const reflection = path.dirname(resolve('@grpc/reflection/package.json'));
  cpSync(path.join(reflection, 'build/proto/grpc'), path.join(scratch, 'grpc'), {
    recursive: true,
  });
  const buf = path.join(path.dirname(resolve('@bufbuild/buf/package.json')), 'bin/buf');
  const set = execFileSync(
    process.execPath,
    [buf, 'build', '--as-file-descriptor-set', '-o', '-#format=binpb'],
    { cwd: scratch, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const descriptors = path.join(root, 'libs/service/src/generated');
  mkdirSync(descriptors, { recursive: true });
  writeFileSync(
    path.join(descriptors, 'descriptors.ts'),
    `/** google.protobuf.FileDescriptorProto of each file, in base64. */
export const FILE_DESCRIPTORS: readonly string[] = ${JSON.stringify(filesOf(set), null, 2)};
`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** The files of a google.protobuf.FileDescriptorSet: its field 1, repeated, each with a length in front. */
function filesOf(set) {
  const files = [];
  for (let at = 0; at < set.length;) {
    if (set[at++] !== 0x0a) throw new Error('buf wrote something else than a FileDescriptorSet');
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = set[at++];
      length |= (byte & 0x7f) << shift;
      more = byte > 0x7f;
    }
    files.push(set.subarray(at, at + length).toString('base64'));
    at += length;
  }
  return files;
}
