/** A session whose every frame tells all that led to it, and schedules of everything that may befall it. */
import { createHash } from 'node:crypto';
import type { Survival } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import { RecordField } from '../../frames/module-frames';
import type { RecordItem } from '../../frames/module-frames';
import { decodeChunk } from '../../verify/decode-chunk';
import type { AuthorClass } from './author';
import type { Context } from './context';
import { Host, LIMITS, Life, dataOf, entriesOf, fieldsOf } from './host.fixture';
import type { CommandCall } from './inbox';
import type { Part } from './messages';
import { SeededRandom } from './random';

/** Of all turns. */
const FRAMES = 30;
/** All parts may come within one call, and so may all commands. */
const MOST_RECORDS = 2 * FRAMES + 60;
export type Chance = 'none' | 'recorded' | 'seeded' | 'bare';

const digest = (...values: unknown[]): string =>
  createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 16);

interface State {
  frame: number;
  h: string;
  word: string;
  trace: string[];
}

interface Frame {
  readonly turn: number;
  readonly frame: number;
  readonly h: string;
  readonly trace: readonly string[];
  readonly sound: number;
  readonly dice: number;
}

class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code = 'bad_word';
}

/** State is a running hash: two lineages cannot both fit it. @param hop lets anything happen in between */
function authorWith(chance: Chance, turns: number, hop: () => Promise<void>): AuthorClass {
  const roll = async (ctx: Context): Promise<number> => {
    if (chance === 'recorded') return Number(await ctx.record('dice', () => Math.random()));
    if (chance === 'seeded') return ctx.random();
    return chance === 'bare' ? Math.random() : 0;
  };
  const makeFrame = async (ctx: Context): Promise<void> => {
    const state = ctx.state as State;
    for (let round = 0; round < 3; round += 1) {
      await ctx.idle(0);
      state.trace.push(state.word);
    }
    await hop();
    let sound = -2;
    if (state.frame % 2 === 0) {
      const part = await ctx.input({ latest: state.frame % 4 === 0 });
      sound = part === undefined ? -1 : Number(part.x?.data[0]);
    }
    const dice = await roll(ctx);
    const { trace } = state;
    const { turn } = ctx;
    state.frame += 1;
    state.h = digest(state.h, turn, trace, sound, dice);
    state.trace = [];
    await hop();
    if (state.frame % 7 === 0) await ctx.send('at', { frame: state.frame, h: state.h });
    const frame: Frame = { turn, frame: state.frame, h: state.h, trace, sound, dice };
    const text = JSON.stringify(frame);
    if (state.frame % 5 !== 0) await ctx.emit({}, { text, key: state.frame % 10 === 0 });
    else if (!(await ctx.tryEmit({}, { text }))) {
      state.word = 'skipped';
      await ctx.emit({}, { text });
    }
  };
  return {
    load: () => ({
      newState: (): State => ({ frame: 0, h: 'seed', word: 'none', trace: [] }),
      async startSession(ctx: Context): Promise<void> {
        do {
          const most = (FRAMES / turns) * (ctx.turn + 1);
          while ((ctx.state as State).frame < most && !ctx.shouldStop()) {
            await ctx.checkpoint();
            await makeFrame(ctx);
          }
          await hop();
        } while (ctx.turn + 1 < turns && (await ctx.nextTurn()) !== undefined);
      },
    }),
    commands: {
      word: {
        // A library's schema takes no time to make, unlike JSON Schema: there are thousands of lives.
        arguments: {
          '~standard': {
            version: 1,
            vendor: 'test',
            validate: (value: { word?: string }) =>
              value.word ? { value } : { issues: [{ path: ['word'], message: 'none' }] },
          },
        },
        async handle(ctx: Context, { word }: { word: string }): Promise<unknown> {
          const state = ctx.state as State;
          if (word.endsWith('7')) throw new CommandError('not that one');
          await hop();
          if (word.endsWith('3')) await ctx.send('word', word);
          const luck = word.endsWith('5') ? await ctx.record('luck', () => Math.random()) : 0;
          const tries = word.endsWith('1') ? await tried(ctx, hop) : [];
          const heard = word.endsWith('2') ? await listened(ctx, hop) : [];
          state.word = [word, luck, ...tries, ...heard].join('/');
          return { frame: state.frame, luck, tries, heard };
        },
      },
    },
  };
}

/** Which of three frames in a row were sent, by how far the reader is. */
async function tried(ctx: Context, hop: () => Promise<void>): Promise<boolean[]> {
  const tries: boolean[] = [];
  for (let count = 0; count < 3; count += 1) {
    tries.push(await ctx.tryEmit({}, { text: JSON.stringify({ tries }) }));
    await hop();
  }
  return tries;
}

/** The newest input, twice, by what has come. */
async function listened(ctx: Context, hop: () => Promise<void>): Promise<unknown[]> {
  const heard: unknown[] = [];
  for (let count = 0; count < 2; count += 1) {
    const part = await ctx.input({ latest: true });
    heard.push(part?.x?.data[0]);
    await hop();
  }
  return heard;
}

/** What a consumer has, turn by turn, must be one run of the author, with each command once. @throws where it is not */
export function checkLineage(turns: readonly (readonly RecordItem[])[]): void {
  const records = turns.flat();
  const begins = new Map(turns.map((turn, number) => [turn[0], number]));
  let [h, frame, command, part, result, turn] = ['seed', 0, 0, 0, 0, 0];
  const words = new Set(['none', 'skipped']);
  for (const record of records) {
    const { field, body } = record;
    const begun = begins.get(record);
    if (begun !== undefined) [turn, part] = [begun, 0];
    const { 1: first = 0, 2: second, 3: third } = field === RecordField.chunk ? {} : fieldsOf(body);
    if (field === RecordField.applied && first !== command++) throw new Error(`command ${first}`);
    if (field === RecordField.input && first !== part++) throw new Error(`part ${first}`);
    if (field === RecordField.result) {
      if (first !== result++ || result !== command) throw new Error(`result ${first}`);
      if ((second === undefined) === (third === undefined)) throw new Error('no outcome, or two');
    }
    if (field !== RecordField.chunk) continue;
    const told = JSON.parse(decodeChunk(body).text) as Partial<Frame>;
    // A handler's.
    if (told.frame === undefined || told.trace === undefined) continue;
    frame += 1;
    if (told.frame !== frame) throw new Error(`frame ${told.frame} instead of ${frame}`);
    if (told.turn !== turn) throw new Error(`frame ${frame} of turn ${turn} says ${told.turn}`);
    h = digest(h, turn, told.trace, told.sound, told.dice);
    if (told.h !== h) throw new Error(`frame ${frame} is of another lineage`);
    for (const word of told.trace)
      if (
        !words.has(word) &&
        !entriesOf(records).some(
          (entry) => entry.kind === 'command' && word.startsWith(wordOf(entry.arguments)),
        )
      )
        throw new Error(`nobody said ${word}`);
  }
  if (frame !== FRAMES) throw new Error(`${frame} frames instead of ${FRAMES}`);
}

const wordOf = (args: string): string => (JSON.parse(args) as { word?: string }).word ?? '?';

export interface Schedule {
  readonly seed: number;
  readonly survival: Survival;
  readonly chance: Chance;
  readonly deaths: number;
  readonly turns: number;
  /** Turns may be cancelled: what they are then depends on when that came. */
  readonly cancels?: boolean;
}

export interface Told {
  readonly turns: readonly (readonly RecordItem[])[];
  readonly deaths: number;
  readonly commands: readonly CommandCall[];
  /** Of each turn. */
  readonly parts: readonly (readonly Part[])[];
}

const TICKS = 20_000;

/** One session through everything that the seed says. @throws where the end is not `completed` */
export async function played(schedule: Schedule): Promise<Told> {
  const { seed, survival, chance, deaths: most, turns, cancels = false } = schedule;
  const partsOfTurn = FRAMES / turns;
  const dice = new SeededRandom(seed);
  const rnd = (below: number): number => Math.floor(dice.next() * below);
  const hop = async (): Promise<void> => {
    for (let left = rnd(3); left > 0; left -= 1) await turnOfLoop();
  };
  const host = new Host(
    () => dataOf(survival, { limits: { ...LIMITS, uncommittedRecords: MOST_RECORDS } }),
    () => authorWith(chance, turns, hop),
    2 + rnd(12),
  );
  await host.begin();
  let deaths = 0;
  // What is told of a turn that was cancelled is made once.
  let cancelled = false;
  const parts: (readonly Part[])[] = [];
  const mayDie = (): boolean => deaths < most && !cancelled;
  const over = (): boolean =>
    host.end !== undefined && !host.between && host.seen === host.records.length;
  for (let tick = 0; !over(); tick += 1) {
    if (tick > TICKS) throw new Error(`it stands still after ${host.records.length} records`);
    for (let left = rnd(4); left > 0; left -= 1) await turnOfLoop();
    const what = rnd(40);
    if (what < 4 && host.commands.length < 12) host.command(command(host.commands.length, rnd));
    else if (what < 12 && host.parts.length < partsOfTurn)
      host.part(part(host.parts.length, partsOfTurn, rnd));
    else if (what < 18) host.read(1 + rnd(6));
    else if (what < 24) host.grant();
    else if (what < 27) host.wantSnapshot();
    else if (what === 27) host.revokeCredit();
    else if (what === 28 && mayDie() && (host.end === undefined || host.between)) {
      deaths += 1;
      await host.engineDies();
    } else if (what === 29 && mayDie()) {
      deaths += 1;
      await host.hosterDies();
    } else if (what === 30 && cancels && host.end === undefined && parts.length + 1 < turns) {
      cancelled = true;
      host.cancel();
    } else if (what < 33 && host.between && host.endSeen) {
      parts.push(host.parts);
      host.nextTurn();
    } else host.take();
    if (host.between && host.endSeen) cancelled = false;
    if (host.parts.length === partsOfTurn && tick % 50 === 0) host.grant();
  }
  host.life.die();
  if (host.end?.reason !== 'completed') throw new Error(JSON.stringify(host.end));
  const { records, commands } = host;
  parts.push(host.parts);
  return { turns: [...host.turnsBefore, records], deaths, commands, parts };
}

/** The same session in one life, given the same at the same calls. */
export async function undisturbed(told: Told, chance: Chance): Promise<RecordItem[][]> {
  const life = await Life.begin(
    authorWith(chance, told.turns.length, () => Promise.resolve()),
    dataOf('replay'),
    5,
  );
  life.flags.grant(1e6, 1e9);
  life.send({ kind: 'open', sequence: 1, place: 0, seed: 7, session: 's', snapshots: true });
  const turns: RecordItem[][] = [];
  for (const [number, known] of told.turns.entries())
    turns.push(await turnAgain(life, number, known, told.parts[number] ?? []));
  return turns;
}

async function turnAgain(
  life: Life,
  number: number,
  known: readonly RecordItem[],
  parts: readonly Part[],
): Promise<RecordItem[]> {
  const chain = known.at(-1)?.chain ?? 0;
  const replay = { entries: entriesOf(known), records: known.length, chain };
  const turn = { number, prompt: '', parameters: {}, inputs: [], live: true, continued: false };
  life.send({ kind: 'turn', sequence: 1, turn: { ...turn, replay } });
  for (const part of parts) life.send({ kind: 'part', sequence: 1, turn: number, part });
  const records: RecordItem[] = [];
  for (let tick = 0; ; tick += 1) {
    await turnOfLoop();
    if (tick > TICKS) throw new Error(`the oracle stands still after ${records.length} records`);
    for (const item of life.arrived()) {
      if (item.kind === 'record') records.push(item);
      if (item.kind === 'end' && item.end.reason === 'completed') return records;
      if (item.kind === 'end') throw new Error(JSON.stringify(item.end));
    }
  }
}

function command(number: number, rnd: (below: number) => number): CommandCall {
  if (rnd(10) === 0) return { number, name: 'wrod', arguments: '{}' };
  const args = rnd(10) === 0 ? { word: '' } : { word: `w${rnd(1000)}` };
  return { number, name: 'word', arguments: JSON.stringify(args) };
}

function part(number: number, count: number, rnd: (below: number) => number): Part {
  const last = number === count - 1;
  const inputs = last ? [] : [tensorOf('x', Float32Array.of(rnd(1e6)))];
  return { number, inputs, last };
}

export function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
