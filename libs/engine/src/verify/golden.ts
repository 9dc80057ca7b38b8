/** Reference answers, and runs of them through the path that serves. */
import type { GoldenSequence, GoldenTurn, Manifest } from '@cabstand/model';
import type { Stepper } from '../runtime/sequence';
import { EQUAL, compareTensors, incomparable, worse } from './compare';
import type { Difference, Limits } from './compare';
import { Drive } from './drive';
import type { Played } from './drive';
import type { TurnPlan } from './harness';

/** A difference, and in which record of which turn it is. */
export interface Placed extends Difference {
  readonly where: string;
}

export const SAME: Placed = { ...EQUAL, where: '' };

/** All sequences at once, in turn: they share the engine as callers do. By sequence and turn. */
export async function playTogether(
  stepper: Stepper,
  sequences: readonly (readonly TurnPlan[])[],
  onRecord: (count: number) => void = () => undefined,
): Promise<Played[][]> {
  return await driven(stepper, onRecord, (drive) =>
    sequences.map(async (turns) => {
      const sequence = drive.open(false);
      const played: Played[] = [];
      for (const [number, turn] of turns.entries())
        played.push(await drive.play(sequence, number, turn));
      drive.close(sequence);
      return played;
    }),
  );
}

/**
 * The same, but each turn is left in its middle and goes on from a snapshot in a new sequence, and so
 * does each turn after the first.
 *
 * @param before what the sequences gave undisturbed
 */
export async function playRestored(
  stepper: Stepper,
  sequences: readonly (readonly TurnPlan[])[],
  before: readonly (readonly Played[])[],
): Promise<Played[][]> {
  return await driven(
    stepper,
    () => undefined,
    (drive) =>
      sequences.map(async (turns, index) => {
        let sequence = drive.open(true);
        const goOn = (snapshot: Buffer): void => {
          drive.close(sequence);
          sequence = drive.open(true, snapshot);
        };
        const played: Played[] = [];
        for (const [number, turn] of turns.entries()) {
          const most = (before[index]?.[number]?.chunks.length ?? 0) >> 1;
          const first = await drive.play(sequence, number, turn, { most });
          goOn(first.snapshot);
          if (first.end !== undefined) {
            played.push({ ...first, snapshot: NOTHING });
            continue;
          }
          const rest = await drive.play(sequence, number, turn, { continued: true });
          // Its snapshot is used up at once: states may be large.
          goOn(rest.snapshot);
          const chunks = [...first.chunks, ...rest.chunks];
          played.push({ ...rest, chunks, snapshot: NOTHING });
        }
        drive.close(sequence);
        return played;
      }),
  );
}

const NOTHING = Buffer.alloc(0);

/** The worst difference. What is missing, too much, or an error cannot be compared. */
export function compareSequences(
  manifest: Manifest,
  played: readonly (readonly Played[])[],
  expected: readonly GoldenSequence[],
  limits: Limits,
): Placed {
  let worst = SAME;
  expected.forEach(({ turns }, sequence) =>
    turns.forEach((turn, number) => {
      const where =
        turns.length > 1 ? `sequence ${sequence}, turn ${number}` : `sequence ${sequence}`;
      worst = worse(worst, compareTurn(manifest, played[sequence]?.[number], turn, limits, where));
    }),
  );
  return worst;
}

/** What was played, as a reference for what is played next. */
export function asReference(
  manifest: Manifest,
  plans: readonly (readonly TurnPlan[])[],
  played: readonly (readonly Played[])[],
): GoldenSequence[] {
  return plans.map((turns, sequence) => ({
    turns: turns.map(({ prompt, parameters, inputs }, number) => ({
      prompt,
      parameters,
      inputs,
      records: (played[sequence]?.[number]?.chunks ?? []).map(({ outputs, text }, record) => ({
        outputs,
        text: unjoined(manifest, text, record),
      })),
    })),
  }));
}

function compareTurn(
  manifest: Manifest,
  played: Played | undefined,
  { records }: GoldenTurn,
  limits: Limits,
  where: string,
): Placed {
  const chunks = played?.chunks ?? [];
  const wrong = (got: string, expected: string, place: string): Placed => ({
    ...incomparable(got, expected),
    where: place,
  });
  if (played?.end?.reason === 'error')
    return wrong(played.end.error.message, `${records.length} records`, where);
  if (chunks.length !== records.length)
    return wrong(`${chunks.length} records`, `${records.length}`, where);
  let worst = SAME;
  records.forEach((record, number) => {
    const chunk = chunks[number];
    const at = `${where}, record ${number}`;
    const text = unjoined(manifest, chunk?.text ?? '', number);
    if (text !== record.text) worst = worse(worst, wrong(text, record.text, `${at}, text`));
    for (const expected of record.outputs) {
      const got = chunk?.outputs.find(({ name }) => name === expected.name);
      const place = `${at}, output ${expected.name}`;
      if (got === undefined) {
        worst = worse(worst, wrong('nothing', expected.dtype, place));
        continue;
      }
      const difference = compareTensors(got, expected, limits);
      worst = worse(worst, { ...difference, where: `${place}${difference.place}` });
    }
  });
  return worst;
}

/** Golden data has the text of one token, without what joins it to the one before. */
function unjoined({ text: { output } }: Manifest, text: string, record: number): string {
  const join = record === 0 ? '' : (output?.join ?? '');
  return text.startsWith(join) ? text.slice(join.length) : text;
}

async function driven(
  stepper: Stepper,
  onRecord: (count: number) => void,
  play: (drive: Drive) => Promise<Played[]>[],
): Promise<Played[][]> {
  const drive = new Drive(stepper);
  let records = 0;
  drive.onRecord = () => {
    records += 1;
    onRecord(records);
  };
  try {
    return await Promise.all(play(drive));
  } finally {
    await drive.stop();
  }
}
