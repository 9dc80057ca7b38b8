import { tensorOf } from '@cabstand/tensor';
import type { Chunk, TurnResult } from './chunk';
import { generateInput, generateParameters, promptTensors, tokens } from './generate';

const chunk = (index: number, token: bigint, text: string): Chunk =>
  ({
    index,
    position: 10 + index,
    text,
    tensor: () => tensorOf('token', BigInt64Array.of(token)),
  }) as unknown as Chunk;

const result: TurnResult = { turn: 0, reason: 'completed', steps: 2, chunks: 2 };

/** A turn of two chunks; `left` is told when it is left. */
async function* turn(left: () => void): AsyncGenerator<Chunk, TurnResult, undefined> {
  try {
    yield chunk(0, 7n, '');
    yield chunk(1, 2n, 'é');
    return result;
  } finally {
    left();
  }
}

test('a turn becomes its tokens, and ends as it ended', async () => {
  const left = jest.fn();
  const run = tokens(turn(left));
  expect(await run.next()).toEqual({
    done: false,
    value: { index: 0, position: 10, token: 7, text: '' },
  });
  expect(await run.next()).toEqual({
    done: false,
    value: { index: 1, position: 11, token: 2, text: 'é' },
  });
  expect(await run.next()).toEqual({ done: true, value: result });
  expect(left).toHaveBeenCalledTimes(1);
});

test('leaving it early leaves the turn', async () => {
  const left = jest.fn();
  for await (const { token } of tokens(turn(left))) {
    expect(token).toBe(7);
    break;
  }
  expect(left).toHaveBeenCalledTimes(1);
});

test('only what was given is sent', () => {
  expect(generateParameters({ prompt: '' })).toEqual({});
  const all = { maxTokens: 3, temperature: 0.5, topK: 2, topP: 0.9, seed: 0 };
  expect(generateParameters({ prompt: '', ...all })).toEqual({
    ...{ max_tokens: 3, temperature: 0.5, top_k: 2, top_p: 0.9, seed: 0 },
  });
});

test('further parameters are sent as they are, and those that have a name here go before', () => {
  const parameters = { stop: ['x'], seed: 1 };
  expect(generateParameters({ prompt: '', parameters, seed: 2 })).toEqual({ stop: ['x'], seed: 2 });
});

test('a conversation becomes a tensor with the time of its beginning', () => {
  const messages = [{ role: 'user', content: 'Hi' }] as const;
  const { prompt, tensors } = generateInput({ messages, template: { x: 1 } }, 5999);
  expect(prompt).toBeUndefined();
  expect(tensors).toMatchObject([{ name: 'messages', dtype: 'string', shape: [1] }]);
  const [json = ''] = tensors?.[0]?.strings ?? [];
  expect(JSON.parse(json)).toEqual({ messages, template: { x: 1 }, now: 5 });
  expect(generateInput({ prompt: 'a' }, 0)).toEqual({ prompt: 'a', tensors: undefined });
  expect(() => generateInput({}, 0)).toThrow(/neither/);
  expect(() => generateInput({ prompt: 'a', messages }, 0)).toThrow(/prompt and messages/);
  expect(() => generateInput({ prompt: 'a', tools: [] }, 0)).toThrow(/messages beside them/);
});

test('ids become a tensor, and what is no id is refused', () => {
  expect(promptTensors([5, 300])).toMatchObject([
    { name: 'input_ids', dtype: 'int64', shape: [2] },
  ]);
  for (const odd of [0.5, NaN, 2 ** 60])
    expect(() => promptTensors([1, odd])).toThrow(/ids of tokens/);
});
