import { CabstandError } from '@cabstand/core';
import { Talk } from './talk';
import type { Answering } from './talk';

type Asked = Parameters<Answering['generate']>[0];

/** Answers with these texts, or fails; and what it was asked. */
function model(...texts: (string | Error)[]) {
  const asked: Asked[] = [];
  const session: Answering = {
    async *generate(options) {
      asked.push(options);
      for (const text of texts) {
        await Promise.resolve();
        if (options.signal?.aborted === true) throw new CabstandError('CANCELLED', 'stopped');
        if (text instanceof Error) throw text;
        yield { text };
      }
    },
  };
  return { session, asked };
}

const never = new AbortController().signal;
const drop = () => Promise.resolve();
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

test('each question brings all that was said before, and the parameters', async () => {
  const { session, asked } = model('a', '', 'b');
  const talk = new Talk(session, { system: 'Be brief.', parameters: { max_tokens: 3 } });
  const written: string[] = [];
  const write = (text: string): Promise<void> => {
    written.push(text);
    return Promise.resolve();
  };
  await talk.ask('one', write, never);
  await talk.ask('two', drop, never);
  expect(written).toEqual(['a', '', 'b']);
  const system = { role: 'system', content: 'Be brief.' };
  expect(asked.map(({ messages }) => messages)).toEqual([
    [system, user('one')],
    [system, user('one'), assistant('ab'), user('two')],
  ]);
  expect(asked[0]?.parameters).toEqual({ max_tokens: 3 });
});

test('an answer that is stopped is kept as far as it came; one that never began was not asked for', async () => {
  const { session } = model('a', 'b', 'c');
  const talk = new Talk(session, { system: undefined, parameters: {} });
  const stop = new AbortController();
  const write = (text: string): Promise<void> => {
    if (text === 'b') stop.abort();
    return Promise.resolve();
  };
  await talk.ask('one', write, stop.signal);
  expect(talk.said).toEqual([user('one'), assistant('ab')]);
  await talk.ask('two', drop, AbortSignal.abort());
  expect(talk.said).toHaveLength(2);
});

test('what fails was not said', async () => {
  const failure = new CabstandError('LIMIT_EXCEEDED', 'too long');
  const talk = new Talk(model('a', failure).session, { system: undefined, parameters: {} });
  await expect(talk.ask('one', drop, never)).rejects.toBe(failure);
  expect(talk.said).toEqual([]);
});
