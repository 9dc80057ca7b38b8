import { readFileSync } from 'node:fs';

/** Version of ONNX Runtime that engines load; asks its package, since loading it is the engines' part. */
export function runtimeVersion(): string {
  const file = require.resolve('onnxruntime-node/package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return version;
}
