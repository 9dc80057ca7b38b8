import { CabstandError } from '@cabstand/core';
import type { Defect, Verdict } from './checker';
import { START, linked, padOf, refuses } from './modules/link';
import type { Link, Step } from './modules/link';
import type { RideCommand, RideLog } from './ride';

/** What was checked of a session of a module, for nothing counts that did not happen. */
export interface RideVerdict extends Verdict {
  readonly messages: number;
  /** Commands whose result came, and was looked at. */
  readonly results: number;
  readonly reattached: number;
}

/**
 * Checks that a session is one lineage: each frame and each message follows the one before it, each command
 * took effect once, in order, and gave the result that its own message tells. There is no other run to compare
 * with: what happened depends on when commands came, and on chance.
 */
export function checkRide(log: RideLog): RideVerdict {
  const lineage = new Lineage(log.seed);
  for (const item of log.items) lineage.add(item);
  const complete = log.end.kind === 'ended';
  const { defects } = lineage;
  if (log.end.kind === 'ended') {
    if (log.end.reason !== 'completed')
      defects.push({ kind: 'wrong', what: `it ended ${log.end.reason}` });
    lineage.end(log);
  }
  const results = checkResults(log, lineage, complete);
  defects.push(...results.defects);
  let error: CabstandError | undefined;
  if (log.end.kind === 'failed') {
    if (CabstandError.is(log.end.error)) error = log.end.error;
    else defects.push({ kind: 'untyped', what: String(log.end.error) });
  }
  return {
    ...{ defects, error, started: log.items.length > 0, records: log.items.length },
    messages: log.items.filter(({ kind }) => kind === 'message').length,
    results: results.count,
    reattached: log.reattached,
  };
}

/** The records of a session in their order. */
class Lineage {
  readonly defects: Defect[] = [];
  readonly #seed: number;
  readonly #seen = new Set<number>();
  #position = -1;
  #head = START;
  #last: Step | undefined;
  #frames = 0;
  #parts = 0;
  #lucky = 0;
  #done = false;
  /** What each poke's own message says, by its number. */
  readonly pokes: Link[] = [];

  constructor(seed: number) {
    this.#seed = seed;
  }

  add(item: RideLog['items'][number]): void {
    const at = `position ${String(item.position)}`;
    if (this.#seen.has(item.position)) this.#bad('duplicated', at);
    else if (item.position < this.#position)
      this.#bad('wrong', `${at} after ${String(this.#position)}`);
    this.#seen.add(item.position);
    this.#position = Math.max(this.#position, item.position);
    if (this.#done) this.#bad('wrong', `${at} comes after the last message`);
    const content: unknown = item.kind === 'chunk' ? JSON.parse(item.text) : item.message;
    const luck = luckyOf(content);
    if (luck !== undefined) {
      this.#count('lucky frame', at, luck.lucky, this.#lucky++);
      if (luck.head !== this.#head) this.#bad('wrong', `${at}: a frame of another lineage`);
    } else this.#link(at, content as Link);
    if (item.kind === 'chunk') {
      const pad = padOf(luck?.head ?? (content as Link).after);
      if (Buffer.compare(pad, item.pad) !== 0) this.#bad('wrong', `${at}: other bytes`);
    }
  }

  end({ parts, seed, commands }: RideLog): void {
    if (!this.#done) this.#bad('lost', 'its last message');
    if (seed < 0 && this.#parts !== parts)
      this.#bad('lost', `${String(parts - this.#parts)} parts of live input`);
    const sent = commands.filter(({ n }) => n >= 0).length;
    if (this.pokes.length < sent)
      this.#bad('lost', `${String(sent - this.pokes.length)} commands at the end`);
  }

  #link(at: string, { before, after, step }: Link): void {
    // What follows is compared with what this one says, so that one fault counts once.
    if (before !== this.#head)
      this.#bad(
        'wrong',
        `${at}, ${JSON.stringify(step)}, does not follow ${JSON.stringify(this.#last)}`,
      );
    this.#last = step;
    if (linked(before, step).after !== after) this.#bad('wrong', `${at}: its hash is wrong`);
    this.#head = after;
    this.#step(at, step);
    if (step.kind === 'poke') this.pokes.push({ before, after, step });
  }

  #step(at: string, step: Step): void {
    this.#count('frame', at, step.frames, this.#frames);
    this.#frames = step.frames;
    this.#count('poke', at, step.pokes, this.pokes.length);
    if (step.kind === 'poke') {
      this.#count('command', at, step.n, this.pokes.length);
      return;
    }
    this.#count('lucky frame', at, step.lucky, this.#lucky);
    this.#count('part', at, step.parts, this.#parts);
    if (step.kind === 'done') this.#done = true;
    if (step.kind !== 'frame') return;
    this.#frames++;
    if (step.seed !== this.#seed) this.#bad('wrong', `${at}: other input, ${String(step.seed)}`);
    if (step.part >= 0) this.#count('content of part', at, step.part, this.#parts++);
  }

  #count(what: string, at: string, said: number, expected: number): void {
    if (said === expected) return;
    this.#bad(
      said > expected ? 'lost' : 'duplicated',
      `${at}: ${what} ${String(said)}, not ${String(expected)}`,
    );
  }

  #bad(kind: Defect['kind'], what: string): void {
    this.defects.push({ kind, what });
  }
}

function luckyOf(content: unknown): { readonly head: number; readonly lucky: number } | undefined {
  return typeof content === 'object' && content !== null && 'head' in content
    ? (content as { readonly head: number; readonly lucky: number })
    : undefined;
}

/** @param complete the session ended in order, so that every command has its result */
function checkResults(
  { commands, settled }: RideLog,
  lineage: Lineage,
  complete: boolean,
): { readonly defects: Defect[]; readonly count: number } {
  const defects: Defect[] = [];
  for (const [i, index] of settled.entries())
    if (index < (settled[i - 1] ?? -1))
      defects.push({ kind: 'wrong', what: `result ${String(index)} came after a later one` });
  let count = 0;
  for (const [index, command] of commands.entries()) {
    const { outcome } = command;
    const what = `command ${String(index)} (${command.kind})`;
    if (outcome === undefined) {
      if (complete) defects.push({ kind: 'lost', what: `result of ${what}` });
      continue;
    }
    // Its effect is looked at all the same: its message is a link of the chain.
    if (outcome.kind === 'left') continue;
    const problem = wrongResult(command, outcome, lineage.pokes[command.n]);
    if (problem === undefined) count++;
    // Of a session that failed nothing more than the failure is known.
    else if (complete) defects.push({ kind: 'wrong', what: `${what}: ${problem}` });
  }
  return { defects, count };
}

/** Undefined where the result is right. */
function wrongResult(
  { kind, n }: RideCommand,
  outcome: Extract<RideCommand['outcome'], { kind: 'value' | 'error' }>,
  link: Link | undefined,
): string | undefined {
  const expected = expectedResult(kind, n, link);
  const { error } = outcome as { readonly error?: unknown };
  const got =
    outcome.kind === 'value'
      ? JSON.stringify(outcome.value)
      : CabstandError.is(error)
        ? `${error.reason} ${error.reason === 'COMMAND_REJECTED' ? error.message : ''}`
        : String(error);
  const fits = expected.whole ? got === expected.text : got.includes(expected.text);
  return fits ? undefined : `${got}, not ${expected.text}`;
}

/** A poke that is refused says the same as one that is not, within its error. */
function expectedResult(
  kind: RideCommand['kind'],
  n: number,
  link: Link | undefined,
): { readonly whole: boolean; readonly text: string } {
  if (kind === 'unknown') return { whole: false, text: 'COMMAND_UNKNOWN' };
  if (kind === 'invalid') return { whole: false, text: 'COMMAND_INVALID' };
  const text = JSON.stringify(link);
  return { whole: !refuses(n), text };
}
