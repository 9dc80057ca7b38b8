/** What conversations leave behind in their hoster and its engine, and whether the bytes of caches that are announced are those that are held. */
import type { Session } from '@cabstand/client';
import { Subnet, scrape, total, until } from '@cabstand/testing';
import { TestClient } from '../../support/client';
import { talkingModels } from '../../support/language-gateway';
import { MemoryReports } from '../../support/memory-reports';
import { enginesOf } from '../../support/processes';
import { SESSION_GAUGES } from '../../support/session-gauges';
import { heading, print } from '../report';
import type { Row } from '../report';
import { format } from '../stats';

const MODEL = 'llama';
const TURNS = 5;
const ANSWER = 12;
const AT_ONCE = 16;
/** From this one on nothing may grow. */
const SETTLED = 200;
const STATE_BYTES = 'cabstand_engine_state_bytes';
const MIB = 1024 * 1024;
/** What is kept of ended sessions is whole blocks of 64 tokens: 3 layers, keys and values of 2 heads of 12 float32. */
const BLOCK_BYTES = 64 * 3 * 2 * 2 * 12 * 4;
const LIMITS = {
  /** For caches: full of what was computed before by the time that nothing may grow any more. */
  max_state_bytes: 8 * MIB,
  /** As many as have ended by then. */
  ended_remembered: SETTLED,
  /** Answers whose readers do not read stay where they are. */
  journal_records: 8,
};
const GROWTH = 0.05;
const APART = 0.1;

/** Bytes, right after a collection. */
interface Held {
  readonly announced: number;
  readonly buffers: number;
  readonly engineHeap: number;
  readonly hosterHeap: number;
  /** Of sessions, by the names of gauges that are not 0. */
  readonly left: readonly string[];
}

interface Measured {
  readonly client: TestClient;
  readonly held: () => Promise<Held>;
}

/** @param sessions conversations, one after another on each of 16 lanes */
export async function benchLanguageMemory(sessions: number): Promise<void> {
  heading(
    'Memory of conversations',
    `one hoster, ${MODEL} of the tests with a chat template, ${format(LIMITS.max_state_bytes / MIB, 0)} MiB for caches; ` +
      `${format(sessions, 0)} sessions of ${String(TURNS)} turns, answers of ${String(ANSWER)} tokens, ${String(AT_ONCE)} at once`,
  );
  using models = talkingModels();
  using reports = new MemoryReports();
  await using subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { models: [models.folder], only: [MODEL], limits: LIMITS },
  });
  await using client = new TestClient(subnet);
  await run({ client, held: () => heldBy(subnet, reports) }, sessions);
}

async function run({ client, held }: Measured, sessions: number): Promise<void> {
  const chats = async (from: number, to: number): Promise<void> => {
    let next = from;
    const lane = async (): Promise<void> => {
      while (next < to) {
        await using session = client.session(MODEL);
        await chat(session, next++, TURNS);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  };
  // Prompts shorter than a block: nothing of them is kept.
  for (let number = 0; number < AT_ONCE; number += 1) {
    await using session = client.session(MODEL);
    await chat(session, -1 - number, 1);
  }
  const empty = await held();
  await chats(0, SETTLED);
  const before = await held();
  await chats(SETTLED, sessions);
  const after = await held();
  const open = Array.from({ length: AT_ONCE }, () => client.session(MODEL));
  await Promise.all(open.map((session, at) => chat(session, sessions + at, TURNS - 1)));
  const between = await held();
  const running = open.map((session, at) =>
    session.generate({ messages: messagesOf(sessions + at, [], 4), maxTokens: 100 }),
  );
  await Promise.all(running.map((answer) => answer.next()));
  const within = await held();
  for (const answer of running) await answer.return?.();
  await Promise.all(open.map((session) => session.close()));
  report(sessions, { empty, before, after, between, within });
}

/** A conversation of its own from the beginning: what it says tells its number. */
async function chat(session: Session, number: number, turns: number): Promise<void> {
  const answers: string[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    let text = '';
    const messages = messagesOf(number, answers, turn);
    for await (const token of session.generate({ messages, maxTokens: ANSWER })) text += token.text;
    answers.push(text);
  }
}

function messagesOf(number: number, answers: readonly string[], turn: number) {
  return Array.from({ length: turn + 1 }, (_, at) => [
    { role: 'user' as const, content: `cab ${String(number)}` },
    ...(answers[at] === undefined ? [] : [{ role: 'assistant' as const, content: answers[at] }]),
  ]).flat();
}

async function heldBy(subnet: Subnet, reports: MemoryReports): Promise<Held> {
  const [hoster] = subnet.hosters;
  const [engine] = enginesOf(subnet)[0] ?? [];
  if (hoster === undefined || engine === undefined) throw new Error('no hoster, or no engine');
  const announced = await steady(hoster.admin);
  const [ofHoster, ofEngine] = [await reports.of(hoster.child.pid), await reports.of(engine)];
  const page = await scrape(hoster.admin);
  return {
    announced,
    buffers: ofEngine.arrayBuffers,
    engineHeap: ofEngine.heapUsed,
    hosterHeap: ofHoster.heapUsed,
    left: [...SESSION_GAUGES, 'cabstand_kv_cache_usage_ratio'].filter(
      (name) => name !== STATE_BYTES && total(page, name) !== 0,
    ),
  };
}

/** Bytes of caches, once an engine says the same again: it tells them now and then. */
async function steady(admin: string): Promise<number> {
  let alike = 0;
  let last = -1;
  return await until('bytes of caches to be the same for a while', async () => {
    const page = await scrape(admin);
    const now = total(page, STATE_BYTES);
    alike = now === last ? alike + 1 : 0;
    last = now;
    return alike >= 40 ? now : undefined;
  });
}

type Looks = Readonly<Record<'empty' | 'before' | 'after' | 'between' | 'within', Held>>;

function report(sessions: number, { empty, before, after, between, within }: Looks): void {
  const ratio = (name: string, look: Held): Row => {
    const held = look.buffers - empty.buffers;
    const value = look.announced / held;
    return {
      what: `announced over held bytes of caches, ${name}`,
      value: `${format(value)} (${format(look.announced / MIB)} of ${format(held / MIB)} MiB)`,
      target: { text: 'within 10 %', met: Math.abs(value - 1) <= APART },
    };
  };
  const heap = (name: string, of: (look: Held) => number): Row => ({
    what: `heap of the ${name}, after ${format(sessions, 0)} over after ${format(SETTLED, 0)}`,
    value: `${format(of(after) / of(before))} (${format(of(after) / MIB, 1)} over ${format(of(before) / MIB, 1)} MiB)`,
    target: { text: `at most ${String(1 + GROWTH)}`, met: of(after) <= of(before) * (1 + GROWTH) },
  });
  const rows: Row[] = [
    {
      what: 'announced after sessions that leave nothing to begin with',
      value: `${format(empty.announced, 0)} bytes`,
      target: { text: '0', met: empty.announced === 0 },
    },
    {
      what: `announced after ${format(sessions, 0)} sessions, in blocks that others may begin with`,
      value: `${format(after.announced / BLOCK_BYTES)} of at most ${format(Math.floor(LIMITS.max_state_bytes / BLOCK_BYTES), 0)}`,
      target: {
        text: 'whole ones, and nothing else',
        met: after.announced % BLOCK_BYTES === 0 && after.announced <= LIMITS.max_state_bytes,
      },
    },
    ratio(`after ${format(SETTLED, 0)} sessions`, before),
    ratio(`after ${format(sessions, 0)} sessions`, after),
    ratio(`${String(AT_ONCE)} sessions between their turns`, between),
    ratio(`${String(AT_ONCE)} answers that wait for their readers`, within),
    heap('hoster', ({ hosterHeap }) => hosterHeap),
    heap('engine', ({ engineHeap }) => engineHeap),
    {
      what: 'gauges of sessions that are not 0 after them',
      value: after.left.join(', ') || 'none',
      target: { text: 'none', met: after.left.length === 0 },
    },
  ];
  print(rows);
  if (rows.some(({ target }) => target?.met === false)) process.exitCode = 1;
}
