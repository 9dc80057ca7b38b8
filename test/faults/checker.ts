import { CabstandError } from '@cabstand/core';
import type { Observation, Observed, ObservedTurn } from './stream';

/** What is wrong with a stream, beside its undisturbed run. */
export type Defect =
  /** A record never came though later ones, or the turn's orderly end, did. */
  | { readonly kind: 'lost'; readonly what: string }
  /** A record came twice. */
  | { readonly kind: 'duplicated'; readonly what: string }
  /** Other content, another order, another end than in the undisturbed run, or a record it has not. */
  | { readonly kind: 'wrong'; readonly what: string }
  /** What was thrown is no CabstandError. */
  | { readonly kind: 'untyped'; readonly what: string };

export interface Verdict {
  readonly defects: readonly Defect[];
  /** The typed error that ended the stream early; undefined if it was finished. */
  readonly error: CabstandError | undefined;
  /** Whether a record was delivered: a session that never began breaks no promise to finish. */
  readonly started: boolean;
  readonly records: number;
}

/** Compares a stream with the undisturbed run of the same script: each position once, in order, equal. */
export function check(observed: Observation, reference: Observation): Verdict {
  const defects: Defect[] = [];
  let error: CabstandError | undefined;
  for (const [number, turn] of observed.turns.entries()) {
    const expected = reference.turns[number];
    const where = `turn ${String(number)}`;
    if (expected?.end.kind !== 'ended') {
      defects.push({ kind: 'wrong', what: `${where}: the undisturbed run has no such turn` });
      continue;
    }
    const live = observed.script.turns[number]?.kind === 'live';
    defects.push(...checkTurn(where, turn, expected, live));
    if (turn.end.kind !== 'failed') continue;
    if (CabstandError.is(turn.end.error)) error = turn.end.error;
    else defects.push({ kind: 'untyped', what: `${where}: ${String(turn.end.error)}` });
  }
  const missing = reference.turns.length - observed.turns.length;
  if (missing > 0 && error === undefined)
    defects.push({
      kind: 'lost',
      what: `${String(missing)} turns at its end`,
    });
  const records = observed.turns.reduce((sum, { chunks }) => sum + chunks.length, 0);
  return { defects, error, started: records > 0, records };
}

function checkTurn(
  where: string,
  turn: ObservedTurn,
  expected: ObservedTurn,
  live: boolean,
): Defect[] {
  const defects = live
    ? compareContents(where, turn.chunks, expected.chunks, turn.end.kind === 'ended')
    : comparePositions(where, turn.chunks, expected.chunks, turn.end.kind === 'ended');
  if (turn.end.kind === 'ended' && expected.end.kind === 'ended') {
    if (turn.end.reason !== expected.end.reason)
      defects.push({
        kind: 'wrong',
        what: `${where} ended ${turn.end.reason}, not ${expected.end.reason}`,
      });
    if (turn.end.position !== expected.end.position)
      defects.push({
        kind: 'wrong',
        what: `${where} ended before position ${String(turn.end.position)}, not ${String(expected.end.position)}`,
      });
    const told = JSON.stringify(turn.end.generation ?? null);
    const right = JSON.stringify(expected.end.generation ?? null);
    if (told !== right)
      defects.push({
        kind: 'wrong',
        what: `${where} told ${told} of its answer, not ${right}`,
      });
  }
  return defects;
}

/** Where the same input gives the same positions. */
function comparePositions(
  where: string,
  chunks: readonly Observed[],
  expected: readonly Observed[],
  complete: boolean,
): Defect[] {
  const defects: Defect[] = [];
  const wanted = new Map(expected.map(({ position, content }) => [position, content]));
  const seen = new Set<number>();
  let last = -1;
  for (const { position, content } of chunks) {
    const at = `${where}, position ${String(position)}`;
    if (seen.has(position)) defects.push({ kind: 'duplicated', what: at });
    else if (position < last) defects.push({ kind: 'wrong', what: `${at} after ${String(last)}` });
    seen.add(position);
    last = Math.max(last, position);
    const right = wanted.get(position);
    if (right === undefined) defects.push({ kind: 'wrong', what: `${at} has no such record` });
    else if (right !== content)
      defects.push({ kind: 'wrong', what: `${at}: ${brief(content)}, not ${brief(right)}` });
  }
  // A stream that failed with a typed error may lack its end, but nothing before what it delivered.
  for (const position of wanted.keys())
    if (!seen.has(position) && (complete || position < last))
      defects.push({ kind: 'lost', what: `${where}, position ${String(position)}` });
  return defects;
}

/**
 * Where positions depend on when parts of the input were applied: these have positions as well. The
 * chunks and their order are the same all the same.
 */
function compareContents(
  where: string,
  chunks: readonly Observed[],
  expected: readonly Observed[],
  complete: boolean,
): Defect[] {
  const defects: Defect[] = [];
  let last = -1;
  for (const { position } of chunks) {
    const at = `${where}, position ${String(position)}`;
    if (position === last) defects.push({ kind: 'duplicated', what: at });
    else if (position < last) defects.push({ kind: 'wrong', what: `${at} after ${String(last)}` });
    last = position;
  }
  let next = 0;
  for (const [index, { content }] of chunks.entries()) {
    const at = `${where}, chunk ${String(index)}`;
    if (expected[next]?.content === content) next++;
    else if (next > 0 && expected[next - 1]?.content === content)
      defects.push({ kind: 'duplicated', what: at });
    else if (expected[next + 1]?.content === content) {
      defects.push({ kind: 'lost', what: `${where}, chunk ${String(next)}` });
      next += 2;
    } else {
      const right = expected[next]?.content ?? 'nothing';
      defects.push({ kind: 'wrong', what: `${at}: ${brief(content)}, not ${brief(right)}` });
      next++;
    }
  }
  if (complete)
    for (; next < expected.length; next++)
      defects.push({ kind: 'lost', what: `${where}, chunk ${String(next)}` });
  return defects;
}

const BRIEF = 60;

function brief(content: string): string {
  return content.length > BRIEF ? `${content.slice(0, BRIEF)}…` : content;
}
