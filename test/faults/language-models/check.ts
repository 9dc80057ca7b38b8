import { check } from '../checker';
import type { Defect, Verdict } from '../checker';
import type { Observation, ObservedTurn } from '../stream';
import type { AnswerScript, AnswerTurn } from './scripts';

/** What was compared, beside what is wrong. */
export interface AnswerVerdict extends Verdict {
  /** Tokens that are those of the undisturbed run. */
  readonly tokens: number;
  /** Of these, tokens that are those of transformers as well. */
  readonly known: number;
  /** Guided answers that ended by themselves, and are of their form. */
  readonly valid: number;
}

const TOKEN = /\|token:int64\[1\]([0-9a-f]{16})$/;

/** The number that a record's only tensor holds; undefined where it is another one. */
function tokenOf(content: string): number | undefined {
  const [, hex] = TOKEN.exec(content) ?? [];
  return hex === undefined ? undefined : Number(Buffer.from(hex, 'hex').readBigInt64LE());
}

/** The text of a whole answer. */
function textOf({ chunks }: ObservedTurn): string {
  return chunks.map(({ content }) => content.replace(TOKEN, '')).join('');
}

/** Compares each record with the undisturbed run, tokens with those of transformers, whole answers with their form. */
export function checkAnswers(
  script: AnswerScript,
  observed: Observation,
  reference: Observation,
): AnswerVerdict {
  const verdict = check(observed, reference);
  const defects = [...verdict.defects];
  const counts = { tokens: 0, known: 0, valid: 0 };
  for (const [number, turn] of observed.turns.entries()) {
    const asked = script.turns[number];
    const expected = reference.turns[number];
    // Told by the comparison of records.
    if (asked === undefined || expected === undefined) continue;
    const where = `turn ${String(number)}`;
    checkTokens(where, turn, { asked, expected, counts, defects });
    if (asked.form === undefined || turn.end.kind !== 'ended') continue;
    if (turn.end.generation?.finish !== 'stop') continue;
    const text = textOf(turn);
    if (asked.form.fits(text)) counts.valid++;
    else
      defects.push({ kind: 'wrong', what: `${where}: ${JSON.stringify(text)} is of no such form` });
  }
  return { ...verdict, ...counts, defects };
}

interface Beside {
  readonly asked: AnswerTurn;
  readonly expected: ObservedTurn;
  readonly counts: { tokens: number; known: number };
  readonly defects: Defect[];
}

function checkTokens(
  where: string,
  turn: ObservedTurn,
  { asked: { known }, expected, counts, defects }: Beside,
): void {
  const indices = new Map(expected.chunks.map(({ position }, index) => [position, index]));
  for (const { position, content } of turn.chunks) {
    const at = `${where}, position ${String(position)}`;
    const token = tokenOf(content);
    if (token === undefined) {
      defects.push({ kind: 'wrong', what: `${at} has no token` });
      continue;
    }
    const index = indices.get(position);
    if (index === undefined) continue;
    if (expected.chunks[index]?.content === content) counts.tokens++;
    const right = known[index];
    if (right === undefined) continue;
    if (right === token) counts.known++;
    else
      defects.push({
        kind: 'wrong',
        what: `${at}: token ${String(token)}, transformers has ${String(right)}`,
      });
  }
}
