import type { AuditResult, LoadedFrame } from '@cabstand/engine';
import type { ModelReport } from '../models/check';
import type { GoldenRenewed } from '../models/renew-golden';
import { printable } from './style';
import type { Style } from './style';
import { duration } from './units';

/** A model's check for people: what it will be served as, or all that is wrong with it. */
export function modelReportText(report: ModelReport, style: Style): string {
  const name = style.bold(printable(report.name));
  if (!report.ok) {
    const count = report.problems.length;
    const lines = report.problems.map((problem) => `      ${indented(problem)}\n`);
    const advice =
      report.advice === undefined ? '' : `      ${report.advice.replaceAll('\n  ', ' ')}\n`;
    return `${style.red('FAIL')}  ${name}: ${report.reason}${count > 1 ? `, ${count} problems` : ''}\n${lines.join('')}${advice}`;
  }
  const { manifest, seconds } = report;
  const { audit } = report;
  return [
    `${style.green('ok  ')}  ${name}: v${manifest.version}, ${manifest.kind}, ${servedAs(report)} (${duration(seconds * 1000)})\n`,
    ...(audit === undefined ? [] : [`      ${auditText(audit, style)}\n`]),
    ...notesOf(report).map((note) => `      ${style.dim(`note: ${printable(note)}`)}\n`),
  ].join('');
}

/** `exact up to 16 rows, reference golden, largest difference 2e-7 (atol 0.0001, rtol 0.0001)`. */
export function servedAs({ manifest, loaded }: Extract<ModelReport, { ok: true }>): string {
  const { batchClass, maxBatch, reference, goldenError, unbatchedBecause } = loaded;
  const batching =
    batchClass === 'unbatched'
      ? `unbatched${unbatchedBecause === '' ? '' : `: ${printable(unbatchedBecause)}`}`
      : `${batchClass} up to ${maxBatch} rows`;
  const { atol, rtol } = manifest.golden;
  const largest = goldenError === 0 ? '0' : goldenError.toExponential(1);
  const compared =
    reference === 'none' ? '' : `, largest difference ${largest} (atol ${atol}, rtol ${rtol})`;
  return `${batching}, reference ${reference}${compared}`;
}

function auditText({ sessions, difference }: AuditResult, style: Style): string {
  return difference === ''
    ? `recorded inputs: ${sessions} ${sessions === 1 ? 'session gives' : 'sessions give'} the same together and alone`
    : style.red(`recorded inputs: ${printable(difference)}`);
}

/** What the manifest leaves open, and what running the model showed. */
function notesOf({ manifest, loaded }: Extract<ModelReport, { ok: true }>): string[] {
  return [...new Set([...manifest.notes, ...loaded.notes])];
}

/** What became of golden data that were computed anew. */
export function renewedText({ file, records, changed, most }: GoldenRenewed): string {
  const count = `${file}: ${records} ${records === 1 ? 'record' : 'records'} computed anew`;
  if (most === undefined) return `${count}; none changed`;
  const { where, before, now } = most;
  return `${count}; ${changed} changed, most at ${printable(where)}: ${printable(before)} before, ${printable(now)} now`;
}

/** For programs. */
export function modelReportJson(report: ModelReport): Record<string, unknown> {
  if (!report.ok) return { ...report };
  const { name, manifest, loaded, seconds } = report;
  return {
    ...{ ok: true, name, version: manifest.version, kind: manifest.kind },
    ...loadedJson(loaded),
    notes: notesOf(report),
    ...(report.audit === undefined ? {} : { audit: report.audit }),
    seconds,
  };
}

function loadedJson(loaded: LoadedFrame): Record<string, unknown> {
  return {
    batch_class: loaded.batchClass,
    max_batch: loaded.maxBatch,
    unbatched_because: loaded.unbatchedBecause,
    reference: loaded.reference,
    golden_error: loaded.goldenError,
    outputs: loaded.outputs,
    provider: loaded.provider,
  };
}

function indented(text: string): string {
  return text.split('\n').map(printable).join('\n        ');
}
