import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

test('ONNX Runtime is tried without leaving a trace of its telemetry', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-quiet-'));
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...rest } = process.env;
  try {
    const answer = execFileSync(
      process.execPath,
      [path.resolve(__dirname, '../../dist/doctor/onnx-probe.js'), 'cpu'],
      { env: { ...rest, HOME: folder, TMPDIR: folder }, encoding: 'utf8' },
    );
    expect(JSON.parse(answer)).toMatchObject({ ok: true });
    expect(readdirSync(folder, { recursive: true })).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
