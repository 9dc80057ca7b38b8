import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Subnet } from '@cabstand/testing';
import { TestClient } from '../support/client';

interface Reference {
  readonly words: readonly { word: string; phonemes: string; stopped: boolean }[];
}

const { words } = JSON.parse(
  readFileSync(path.resolve(__dirname, '../assets/g2p-words.json'), 'utf8'),
) as Reference;

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start();
}, 90_000);

afterAll(() => subnet.stop());

test('every reference word is spoken as the reference does, 32 at a time', async () => {
  expect(words.length).toBeGreaterThanOrEqual(200);
  await using client = new TestClient(subnet);
  const queue = [...words];
  const wrong: string[] = [];
  const speak = async (): Promise<void> => {
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      await using session = client.session('g2p');
      const phonemes: string[] = [];
      for await (const chunk of session.runProtocolTask(entry.word)) phonemes.push(chunk.text);
      const spoken = phonemes.join(' ').replaceAll(/\s+/g, ' ').trim();
      if (spoken !== entry.phonemes) wrong.push(`${entry.word}: ${spoken}, not ${entry.phonemes}`);
    }
  };
  await Promise.all(Array.from({ length: 32 }, speak));
  expect(wrong).toEqual([]);
}, 60_000);

test('a session speaks one word after another, each from a fresh state', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session('g2p');
  for (const { word, phonemes } of words.slice(0, 5)) {
    const spoken: string[] = [];
    for await (const chunk of session.runProtocolTask(word)) spoken.push(chunk.text.trim());
    expect(spoken.join(' ')).toBe(phonemes);
  }
});
