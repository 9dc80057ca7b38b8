/** T5, Whisper and models of texts as their exporters write them, served without a manifest, beneath failures. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Session } from '@cabstand/client';
import { Child, ENCODER_MODELS, REPOSITORY_ROOT, Subnet } from '@cabstand/testing';
import { float32Of } from '@cabstand/tensor';
import { wav } from '../support/audio';
import { TestClient } from '../support/client';
import { descendants } from '../support/processes';

interface Answer {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}
interface Heard {
  readonly clip: number;
  readonly language: string | null;
  readonly task: string;
  readonly tokens: readonly number[];
}
interface Embedded {
  readonly text: string;
  readonly normalized: readonly number[];
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(path.join(ENCODER_MODELS, `${name}.json`), 'utf8'));
const answers = read('t5') as Answer[];
const heard = read('whisper') as Heard[];
const embedded = read('sentence-bert') as Embedded[];
const classified = read('topic-bert') as { text: string; scores: number[] }[];

let subnet: Subnet;

beforeAll(async () => {
  // A short journal keeps engines close to readers: they have something left to compute when they die.
  const hosterConfig = { limits: { journal_records: 8 } };
  subnet = await Subnet.start({ models: ENCODER_MODELS, hosters: 2, hosterConfig });
}, 120_000);

afterAll(() => subnet.stop());

/** As make.py has it. */
function samplesOf(clip: number): Float32Array {
  return Float32Array.from({ length: clip === 0 ? 16_000 : 9600 }, (_, index) => {
    const t = index / 16_000;
    const slide = Math.sin(2 * Math.PI * (300 + 500 * clip) * t * (1 + t));
    return 0.4 * slide + 0.1 * Math.sin(2 * Math.PI * 3000 * t);
  });
}

type At = (count: number) => void;

async function answerTo(session: Session, { prompt }: Answer, at?: At): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token } of session.generate({ prompt, maxTokens: 32 })) {
    tokens.push(token);
    at?.(tokens.length);
  }
  return tokens;
}

async function hear(session: Session, { clip, language, task }: Heard, at?: At): Promise<number[]> {
  const tokens: number[] = [];
  const parameters = { max_tokens: 32, task, ...(language !== null && { language }) };
  const inputs = { audio: samplesOf(clip) };
  for await (const chunk of session.runProtocolTask(undefined, inputs, { parameters })) {
    const { data } = chunk.tensor('token');
    tokens.push(Number(Buffer.from(data).readBigInt64LE()));
    at?.(tokens.length);
  }
  return tokens;
}

test('callers at once get what transformers answers', async () => {
  await using client = new TestClient(subnet);
  await Promise.all([
    ...answers.map(async (answer) => {
      await using session = client.session('t5');
      expect(await answerTo(session, answer)).toEqual(answer.tokens);
    }),
    ...heard.map(async (one) => {
      await using session = client.session('whisper');
      expect(await hear(session, one)).toEqual(one.tokens);
    }),
    ...embedded.map(async ({ text, normalized }) => {
      if (text === '') return;
      await using session = client.session('sentence-bert');
      for await (const chunk of session.runProtocolTask(text)) {
        const got = float32Of(chunk.tensor('embedding'));
        const far = normalized.map((value, index) => Math.abs(value - (got[index] ?? NaN)));
        expect(Math.max(...far)).toBeLessThan(2e-5);
      }
    }),
  ]);
}, 60_000);

test.each([
  ['t5', (session: Session, at?: At) => answerTo(session, answers[4] as Answer, at), answers[4]],
  ['whisper', (session: Session, at?: At) => hear(session, heard[4] as Heard, at), heard[4]],
] as const)(
  'an answer of %s goes on token for token when its engine dies, and one of Whisper when its hoster does',
  async (model, ask, expected) => {
    await using client = new TestClient(subnet);
    const place = (session: Session) => {
      const found = subnet.hosters.find(({ address }) => address === session.node?.address);
      if (found === undefined) throw new Error('no hoster has the session');
      return found.child;
    };
    let killed = 0;
    await using first = client.session(model);
    const afterEngine = await ask(first, (count) => {
      if (count !== 10) return;
      for (const pid of descendants(place(first).pid)) process.kill(pid, 'SIGKILL');
      killed += 1;
    });
    expect(afterEngine).toEqual(expected?.tokens);
    if (model === 'whisper') {
      await using second = client.session(model);
      const afterHoster = await ask(second, (count) => {
        if (count !== 10) return;
        place(second).kill('SIGKILL');
        killed += 1;
      });
      expect(afterHoster).toEqual(expected?.tokens);
      expect(killed).toBe(2);
    } else expect(killed).toBe(1);
  },
  90_000,
);

async function infer(...args: string[]): Promise<string> {
  const child = new Child(
    'infer',
    [path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js'), 'infer', ...args],
    { CABSTAND_ROUTERS: subnet.routerAddresses.join(), CABSTAND_CREDENTIALS: subnet.keys },
  );
  expect(await child.exited).toEqual({ code: 0, signal: null });
  return child.output;
}

test('infer prints labels, numbers and texts', async () => {
  const labels = await infer('--model', 'topic-bert', '--text', 'Short.');
  const [best = 0] = classified.find(({ text }) => text === 'Short.')?.scores ?? [];
  expect(labels).toMatch(new RegExp(`^weather .* ${(best * 100).toFixed(2)} %$`, 'm'));
  expect(await infer('--model', 'sentence-bert', '--text', 'Short.')).toMatch(/embedding/);
  const file = path.join(subnet.folder, 'clip.wav');
  writeFileSync(file, wav(samplesOf(0)));
  expect(await infer('--model', 'whisper', '--wav', file, '--param', 'language=en')).not.toBe('');
}, 60_000);
