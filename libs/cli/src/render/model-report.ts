import type { AuditResult, LoadedFrame, ProviderCheck } from '@cabstand/engine';
import type {
  LanguageModelProgram,
  Manifest,
  ModuleProgram,
  TextModelProgram,
} from '@cabstand/model';
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
    ...report.others.map((other) => `      ${style.dim(printable(providerText(other, report)))}\n`),
    ...notesOf(report).map((note) => `      ${style.dim(`note: ${printable(note)}`)}\n`),
  ].join('');
}

/** `exact up to 16 rows, reference golden, largest difference 2e-7 (atol 0.0001, rtol 0.0001)`. */
export function servedAs({ manifest, loaded }: Extract<ModelReport, { ok: true }>): string {
  const { batchClass, maxBatch, reference, goldenError, unbatchedBecause } = loaded;
  if (manifest.module !== undefined) return moduleAs(manifest, manifest.module, loaded);
  const decoder = manifest.languageModel ?? manifest.encoderDecoder?.target;
  if (decoder !== undefined) return languageModelAs(decoder, loaded);
  if (manifest.textModel !== undefined) return textModelAs(manifest.textModel, loaded);
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

/** `texts of up to 512 tokens to 384 numbers (mean, normalized), exact up to 16 texts, together and alone differ by 0`. */
function textModelAs({ tokenizer, head }: TextModelProgram, loaded: LoadedFrame): string {
  const { outputs, batchClass, maxBatch, unbatchedBecause, goldenError } = loaded;
  const width = outputs[0]?.shape.at(-1) ?? -1;
  const to =
    head.to === 'scores'
      ? `scores of ${head.count} labels (${head.activation})`
      : `${width} numbers (${head.pooling}${head.normalize ? ', normalized' : ''})`;
  const batching =
    batchClass === 'unbatched'
      ? `unbatched: ${printable(unbatchedBecause)}`
      : `${batchClass} up to ${maxBatch} texts, together and alone differ by ${goldenError.toExponential(1)}`;
  return `texts of up to ${tokenizer.maxTokens} tokens to ${to}, ${batching}`;
}

/** `context of 256 tokens out of 448, text or ids, 73728 bytes of cache for each 64 tokens, up to 16 sessions together`. */
function languageModelAs(
  { contextLength, vocabularySize, tokenizer }: LanguageModelProgram,
  { stateBytesPerSequence, goldenError, batchClass, maxBatch, unbatchedBecause }: LoadedFrame,
): string {
  const takes = tokenizer === undefined ? 'ids only' : 'text or ids';
  return [
    `context of ${contextLength} tokens out of ${vocabularySize}`,
    takes,
    `${stateBytesPerSequence} bytes of cache for each 64 tokens`,
    batchClass === 'unbatched'
      ? `one session at a time: ${printable(unbatchedBecause)}`
      : `up to ${maxBatch} sessions together`,
    `parts and whole differ by ${goldenError.toExponential(1)} deviations`,
  ].join(', ');
}

/** `provider webgpu: exact up to 16 rows, …`, or why it cannot be had here. */
function providerText(other: ProviderCheck, report: Extract<ModelReport, { ok: true }>): string {
  const what = other.ok
    ? servedAs({ ...report, loaded: other.loaded })
    : `not on this machine: ${other.error.message}`;
  return `provider ${other.provider}: ${what}`;
}

/** A module is loaded, and that is all: what its sessions do is not known from that. */
function moduleAs(
  { name }: Manifest,
  { survival }: ModuleProgram,
  { module }: LoadedFrame,
): string {
  const commands = module?.commands.map((command) => printable(command.name)) ?? [];
  const taken = commands.length === 0 ? 'no commands' : `commands ${commands.join(', ')}`;
  return `survival ${survival}, ${taken}: its code was loaded, its sessions are tried by \`cabstand module test ${name}\``;
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
    ...(manifest.module === undefined
      ? loadedJson(loaded)
      : { survival: manifest.module.survival, commands: loaded.module?.commands ?? [] }),
    notes: notesOf(report),
    ...(report.audit === undefined ? {} : { audit: report.audit }),
    ...(report.others.length === 0 ? {} : { other_providers: report.others.map(providerJson) }),
    seconds,
  };
}

function providerJson(other: ProviderCheck): Record<string, unknown> {
  return other.ok
    ? loadedJson(other.loaded)
    : { provider: other.provider, failure: other.error.message };
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
