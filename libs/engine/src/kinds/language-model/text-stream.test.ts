import { NAMES, codecOf, textsOf } from './models.fixture';
import { TextStream } from './text-stream';

test.each(NAMES)('%s: ids and texts are those of the tokenizers library', async (name) => {
  const codec = await codecOf(name);
  for (const { text, ids, decoded } of textsOf(name)) {
    if (text === undefined) continue;
    expect(codec.encode(text)).toEqual(ids);
    expect(codec.decode(ids)).toBe(decoded);
  }
  expect(codec.decode([])).toBe('');
  expect(() => codec.encode('')).toThrow(/text that has tokens/);
});

test.each(NAMES)('%s: pieces make up the text, and none is half a character', async (name) => {
  const codec = await codecOf(name);
  for (const { text, ids, decoded } of textsOf(name)) {
    if (text === undefined) continue;
    const stream = new TextStream(codec.decode, []);
    const pieces = ids.map((id) => stream.push(id));
    expect(pieces.join('')).toBe(decoded);
    expect(pieces.join('')).not.toContain('\uFFFD');
    expect(stream.flush()).toBe('');
  }
});

test.each(NAMES)('%s: what a model goes on with follows the text of its prompt', async (name) => {
  const codec = await codecOf(name);
  for (const { text, ids, decoded } of textsOf(name)) {
    if (text === undefined) continue;
    for (let cut = 1; cut < ids.length; cut += 1) {
      const stream = new TextStream(codec.decode, ids.slice(0, cut));
      const given =
        ids
          .slice(cut)
          .map((id) => stream.push(id))
          .join('') + stream.flush();
      // A character that the prompt begins comes with the answer.
      const before = codec.decode(ids.slice(0, cut)).replace(/\uFFFD+$/, '');
      expect(before + given).toBe(decoded);
    }
  }
});

test('a text that begins with a whole character has nothing of half a one before it', async () => {
  const codec = await codecOf('llama');
  const byte = (value: number): number => value + 3;
  const word = codec.encode('cab').slice(-1);
  for (const halves of [1, 3, 20, 200]) {
    const prompt = [...word, ...Array.from({ length: halves }, () => byte(0xf0))];
    const stream = new TextStream(codec.decode, prompt, false);
    expect([0xc3, 0xa9, 0x23].map((value) => stream.push(byte(value)))).toEqual(['', 'é', '#']);
    expect(stream.flush()).toBe('');
  }
});

test('half a character is given when nothing follows, or when it can become none any more', async () => {
  const codec = await codecOf('llama');
  // <0x00> is the fourth token.
  const byte = (value: number): number => value + 3;
  const cut = new TextStream(codec.decode, []);
  expect([0x41, 0xe2, 0x82].map((value) => cut.push(byte(value)))).toEqual(['A', '', '']);
  expect(cut.flush()).toMatch(/^\uFFFD+$/);
  const odd = new TextStream(codec.decode, []);
  const pieces = Array.from({ length: 200 }, () => odd.push(byte(0xff)));
  expect(pieces.findIndex((piece) => piece !== '')).toBeLessThan(70);
  expect(pieces.join('') + odd.flush()).toBe('\uFFFD'.repeat(200));
});

test('however long an answer is, a token costs as much as the first, and tokens without text cost nothing later', async () => {
  const codec = await codecOf('gpt2');
  let longest = 0;
  const stream = new TextStream((ids) => {
    longest = Math.max(longest, ids.length);
    return codec.decode(ids);
  }, []);
  const [, ...words] = codec.encode('x A router knows');
  // Special ones, one that the tokenizer does not have, and text in between.
  const ids = Array.from({ length: 3000 }, (_, at) =>
    at % 100 === 0 ? (words[at % words.length] ?? 0) : ([0, 1, 445][at % 3] ?? 0),
  );
  const text = ids.map((id) => stream.push(id)).join('') + stream.flush();
  expect(text).toBe(codec.decode(ids));
  expect(text.length).toBeGreaterThan(30);
  expect(longest).toBeLessThan(12);
});
