// Generates what the contract in proto/ becomes in code, with the standard messages and services in
// third_party/: TypeScript types in libs/rpc/src/generated and libs/doors/src/generated, descriptors in
// libs/service/src/generated, the table of reasons in libs/core/src/generated, and a copy of the files in
// libs/rpc/proto, which reads them at run time.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readReasons } from './reasons/read.mjs';
import { typescript } from './reasons/targets.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { resolve } = createRequire(import.meta.url);
const loader = path.dirname(resolve('@grpc/proto-loader/package.json'));
const copy = path.join(root, 'libs/rpc/proto');
rmSync(copy, { recursive: true, force: true });
for (const from of ['proto', 'third_party'])
  cpSync(path.join(root, from), copy, { recursive: true });

/** Types of the protos' messages. `longs`: what integers of 64 bits are. */
function types(folder, longs, files) {
  const out = path.join(root, folder);
  rmSync(out, { recursive: true, force: true });
  execFileSync(
    process.execPath,
    [
      path.join(loader, 'build/bin/proto-loader-gen-types.js'),
      '--keepCase',
      `--longs=${longs}`,
      '--enums=String',
      '--defaults',
      '--oneofs',
      '--grpcLib=@grpc/grpc-js',
      `--includeDirs=${copy}`,
      `--outDir=${out}`,
      ...files,
    ],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

types('libs/rpc/src/generated', 'Number', [
  'cabstand/v1/router.proto',
  'cabstand/v1/hoster.proto',
  'google/rpc/status.proto',
]);
// Elements of tensors keep all their digits.
types('libs/doors/src/generated', 'String', ['inference/service.proto']);

const core = path.join(root, 'libs/core/src/generated');
mkdirSync(core, { recursive: true });
writeFileSync(path.join(core, 'reasons.ts'), typescript(readReasons()));

// Reflection needs descriptors as a compiler makes them: those that the loader derives lack imports.
const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-descriptors-'));
try {
  cpSync(copy, scratch, { recursive: true });
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
