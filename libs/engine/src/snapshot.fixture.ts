/** Turns of sequences in real engine processes, and snapshots on their way, for tests. */
import type { Tensor } from '@cabstand/tensor';
import type { Engine } from './engine.fixture';
import type { SnapshotItem, StepItem } from './frames/types';

/** A turn; live parts make it a live one. */
export interface Plan {
  readonly prompt?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly inputs?: readonly Tensor[];
  readonly parts?: readonly (readonly Tensor[])[];
}

/** What a consumer has of a turn. */
export interface Seen {
  readonly chunks: readonly string[];
  readonly end: StepItem;
  /** The snapshot that came with the end. */
  readonly after: string;
}

let next = 1;

/** A sequence number that no engine of this test file has seen. */
export const newSequence = (): number => next++;

export function send(
  engine: Engine,
  sequence: number,
  turn: number,
  plan: Plan,
  from?: number,
): void {
  engine.turn(sequence, plan.inputs ?? [], {
    turn,
    prompt: plan.prompt ?? '',
    parameters: plan.parameters ?? {},
    live: plan.parts !== undefined,
    ...(from === undefined ? {} : { continued: true }),
  });
  plan.parts?.forEach((inputs, part) => {
    if (part < (from ?? 0)) return;
    const last = part + 1 === plan.parts?.length;
    engine.send({ type: 'INPUT', sequence, turn, part, inputs, last });
  });
}

export const itemsOf = (engine: Engine, sequence: number, turn: number): StepItem[] =>
  engine.of(sequence).filter((item) => item.turn === turn);

/** The turn once it has ended; its snapshot must stand right before its end. */
export async function seen(engine: Engine, sequence: number, turn: number): Promise<Seen> {
  const end = await engine.ended(sequence, turn);
  const items = itemsOf(engine, sequence, turn);
  const [snapshot] = items.slice(-2);
  expect(items.at(-1)).toBe(end);
  if (snapshot?.kind !== 'snapshot') throw new Error(`${snapshot?.kind} before the end`);
  const chunks = items.flatMap((item) => (item.kind === 'chunk' ? [hex(item.chunk)] : []));
  expect(snapshot).toMatchObject({ ended: true, steps: end.end.steps });
  return { chunks, end: { ...end, sequence: 0 }, after: hex(snapshot.data) };
}

const hex = (bytes: Buffer): string => bytes.toString('hex');

export async function undisturbed(engine: Engine, plans: readonly Plan[]): Promise<Seen[]> {
  const sequence = newSequence();
  engine.open(sequence, 1e6, 1e12, { snapshots: true });
  const all: Seen[] = [];
  for (const [turn, plan] of plans.entries()) {
    send(engine, sequence, turn, plan);
    all.push(await seen(engine, sequence, turn));
  }
  engine.send({ type: 'CLOSE', sequence });
  return all;
}

/** Runs up to a record of a turn and takes a snapshot there; its records have come before it. */
export async function snapshotAt(
  engine: Engine,
  plans: readonly Plan[],
  turn: number,
  records: number,
  racing: boolean,
): Promise<{ snapshot: SnapshotItem; chunks: string[] }> {
  const sequence = newSequence();
  engine.open(sequence, 0, 1e12, { snapshots: true });
  const credit = (count: number): void =>
    engine.send({ type: 'CREDITS', credits: [{ sequence, records: count, bytes: 0 }] });
  for (let before = 0; before < turn; before += 1) {
    credit(1e6);
    send(engine, sequence, before, plans[before] as Plan);
    await engine.ended(sequence, before);
    const used = itemsOf(engine, sequence, before).filter(({ kind }) => kind === 'chunk').length;
    credit(used - 1e6);
  }
  credit(racing ? 1e6 : records);
  send(engine, sequence, turn, plans[turn] as Plan);
  const items = (): StepItem[] => itemsOf(engine, sequence, turn);
  const found = (): SnapshotItem[] =>
    items().flatMap((item) => (item.kind === 'snapshot' ? [item] : []));
  if (racing) {
    // As many as the engine answers while it runs; the one that is wanted is as good as any.
    while (!items().some(({ kind }) => kind === 'end')) {
      engine.send({ type: 'SNAPSHOT', sequence });
      const had = found().length;
      await engine.until(() => found().length > had || items().at(-1)?.kind === 'end');
    }
  } else {
    const count = (): number => items().filter(({ kind }) => kind === 'chunk').length;
    await engine.until(() => count() === records);
    engine.send({ type: 'SNAPSHOT', sequence });
    await engine.until(() => found().length > 0);
  }
  engine.send({ type: 'CLOSE', sequence });
  const all = found();
  const snapshot = all[records % all.length] as SnapshotItem;
  const chunks = items()
    .slice(0, items().indexOf(snapshot))
    .flatMap((item) => (item.kind === 'chunk' ? [hex(item.chunk)] : []));
  expect(chunks).toHaveLength(snapshot.records);
  return { snapshot, chunks };
}
