/** Language models: tokens a second of served sessions beside a bare loop, and what long prompts do to running answers. */
import path from 'node:path';
import type { CallBy } from '@cabstand/engine';
import { loadManifest } from '@cabstand/model';
import type { Provider } from '@cabstand/model';
import { LANGUAGE_MODELS, Subnet } from '@cabstand/testing';
import { TestClient } from '../../support/client';
import { heading, print } from '../report';
import { quantile, show, spread } from '../stats';
import { Worker } from '../worker';
import { promptOf } from './prompts';
import type { RawLanguageRound } from './raw';

export interface LanguageBenchOptions {
  readonly pairs: number;
  readonly seconds: number;
  /** Folder of a language model; '': the small one of the tests. */
  readonly model: string;
  /** What the raw loop runs on, and how the hoster calls ONNX Runtime. What it runs on the model's manifest says. */
  readonly on?: { readonly provider: Provider; readonly runtime: CallBy };
}

const SESSIONS = [1, 4, 8, 16];
const PROMPT = 64;
const ANSWER = 128;
/** Of those that arrive while others are answered. */
const LONG_PROMPT = 512;
const STREAMS = 8;

interface Served {
  readonly folder: string;
  readonly name: string;
  readonly client: TestClient;
  readonly vocabulary: number;
  readonly context: number;
  readonly provider: Provider;
}

export async function benchLanguage({
  pairs,
  seconds,
  model,
  on = { provider: 'cpu', runtime: 'auto' },
}: LanguageBenchOptions): Promise<void> {
  const folder = path.resolve(model === '' ? path.join(LANGUAGE_MODELS, 'llama') : model);
  const { languageModel } = await loadManifest(folder);
  if (languageModel === undefined) throw new Error(`${folder} is no language model`);
  const name = path.basename(folder);
  await using subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: {
      ...{ models: [path.dirname(folder)], only: [name] },
      engines: { runtime: on.runtime },
    },
  });
  await using client = new TestClient(subnet);
  const { vocabularySize: vocabulary, contextLength: context } = languageModel;
  const served = { folder, name, client, vocabulary, context, provider: on.provider };
  using raw = new Worker<RawLanguageRound>(path.join(__dirname, 'raw.js'));
  for (const sessions of SESSIONS) await besideLoop(served, raw, { sessions, pairs, seconds });
  await besidePrompts(served, { pairs, seconds });
}

/** Tokens a second of both, in turns. */
async function besideLoop(
  served: Served,
  raw: Worker<RawLanguageRound>,
  { sessions, pairs, seconds }: { sessions: number; pairs: number; seconds: number },
): Promise<void> {
  const answer = Math.min(ANSWER, served.context - PROMPT);
  heading(
    `${sessions} ${sessions === 1 ? 'session' : 'sessions'}`,
    `${pairs} pairs of ${seconds} s, prompts of ${PROMPT} tokens, answers of ${answer}`,
  );
  const rates = { raw: [] as number[], served: [] as number[] };
  for (let pair = 0; pair < pairs; pair += 1) {
    const { folder, provider } = served;
    const job = { folder, provider, rows: sessions, prompt: PROMPT, answer, seconds };
    rates.raw.push((await raw.ask(job)) as number);
    rates.served.push(await servedRate(served, { sessions, answer, seconds, pair }));
  }
  print([
    {
      what: 'served over raw',
      value: show(spread(rates.served.map((rate, pair) => rate / (rates.raw[pair] ?? NaN)))),
    },
    { what: 'raw, tokens a second', value: show(spread(rates.raw), 0) },
    { what: 'served, tokens a second', value: show(spread(rates.served), 0) },
  ]);
}

/** All sessions begin at once and answer one prompt after another; the last ones to end are counted to their end. */
async function servedRate(
  { client, name, vocabulary }: Served,
  { sessions, answer, seconds, pair }: Record<'sessions' | 'answer' | 'seconds' | 'pair', number>,
): Promise<number> {
  const begun = performance.now();
  let tokens = 0;
  const one = async (number: number): Promise<void> => {
    await using session = client.sessions.session({ model: name, durable: false });
    for (let turn = 0; performance.now() - begun < seconds * 1000; turn += 1) {
      const prompt = promptOf(1000 * (1 + pair) + turn * sessions + number, PROMPT, vocabulary);
      for await (const _ of session.generate({ prompt, maxTokens: answer })) tokens += 1;
    }
  };
  await Promise.all(Array.from({ length: sessions }, (_, number) => one(number)));
  return (tokens * 1000) / (performance.now() - begun);
}

/** Time between tokens of running answers, without and with long prompts one after another. */
async function besidePrompts(
  { client, name, vocabulary, context }: Served,
  { pairs, seconds }: { pairs: number; seconds: number },
): Promise<void> {
  const long = Math.min(LONG_PROMPT, context - 8);
  heading(
    `${STREAMS} answers that run, while prompts of ${long} tokens arrive one after another`,
    `${pairs} rounds of ${seconds} s without and ${seconds} s with them`,
  );
  const gaps: Record<'calm' | 'beside', number[]> = { calm: [], beside: [] };
  const first: number[] = [];
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  let phase: 'calm' | 'beside' | undefined;
  const stream = async (number: number): Promise<void> => {
    await using session = client.sessions.session({ model: name, durable: false });
    for (let turn = 0; !isOver(); turn += 1) {
      const prompt = promptOf(1e6 + turn * STREAMS + number, 8, vocabulary);
      let last: number | undefined;
      for await (const _ of session.generate({ prompt, maxTokens: context - 16 })) {
        const now = performance.now();
        if (phase !== undefined && last !== undefined) gaps[phase].push(now - last);
        last = now;
        if (isOver()) break;
      }
    }
  };
  const streams = Promise.all(Array.from({ length: STREAMS }, (_, number) => stream(number)));
  const calm = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  };
  await calm();
  let asked = 0;
  for (let pair = 0; pair < pairs; pair += 1) {
    phase = 'calm';
    await calm();
    phase = 'beside';
    const begun = performance.now();
    while (performance.now() - begun < seconds * 1000) {
      await using session = client.sessions.session({ model: name, durable: false });
      const prompt = promptOf(2e6 + asked++, long, vocabulary);
      const called = performance.now();
      for await (const _ of session.generate({ prompt, maxTokens: 1 }))
        first.push(performance.now() - called);
    }
    phase = undefined;
  }
  over.abort();
  await streams;
  const quantiles = (values: readonly number[]): string =>
    [0.5, 0.9, 0.99, 1].map((q) => quantile(values, q).toFixed(1)).join(' / ');
  print([
    { what: 'between tokens, ms, p50 / p90 / p99 / most, without', value: quantiles(gaps.calm) },
    { what: 'between tokens, ms, p50 / p90 / p99 / most, with', value: quantiles(gaps.beside) },
    {
      what: 'mean with over mean without',
      value: (mean(gaps.beside) / mean(gaps.calm)).toFixed(2),
    },
    { what: 'first token of a long prompt, ms, p50 / p90 / p99 / most', value: quantiles(first) },
  ]);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
