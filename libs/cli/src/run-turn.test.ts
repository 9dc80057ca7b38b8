import { RemoteManager, SessionManager } from '@cabstand/client';
import { MockProtocol } from '@cabstand/testing';
import type { Session } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { UsageError } from './errors';
import type { AudioSource } from './media/audio';
import { JsonRenderer } from './render/json';
import { TextRenderer } from './render/text';
import { createStyle } from './render/style';
import { runTurn } from './run-turn';

const never = new AbortController().signal;
const part = (value: number): Tensor => tensorOf('audio', Float32Array.of(value));

async function withSession<T>(
  use: (session: Session, mock: MockProtocol) => Promise<T>,
): Promise<T> {
  const protocol = new MockProtocol();
  const remote = new RemoteManager({ hosters: protocol.hosters });
  const manager = new SessionManager(remote, { protocol });
  try {
    return await use(manager.session({ model: 'm' }), protocol);
  } finally {
    await manager.close();
    await remote.close();
  }
}

function audio(parts: () => AsyncGenerator<Tensor>): AudioSource & { closed: number } {
  const source = {
    parts: parts(),
    closed: 0,
    close: () => {
      source.closed++;
      return Promise.resolve();
    },
  };
  return source;
}

function collector(): { text: string; write: (text: string) => Promise<void> } {
  const it = {
    text: '',
    write: (text: string) => {
      it.text += text;
      return Promise.resolve();
    },
  };
  return it;
}

test('records are written as they come, and the end after them', async () => {
  const out = collector();
  await withSession((session) =>
    runTurn(
      session,
      { kind: 'whole', label: '', prompt: 'one two', tensors: [] },
      new TextRenderer(createStyle(false), ' '),
      out.write,
      { signal: never },
    ),
  );
  expect(out.text.replace(/\s+/g, ' ')).toBe('one two ');
});

test('live parts go up while records come down, and the source is closed', async () => {
  const out = collector();
  const source = audio(async function* () {
    for (let i = 0; i < 5; i++) yield part(i);
  });
  await withSession((session) =>
    runTurn(
      session,
      { kind: 'live', label: '', audio: source },
      new JsonRenderer(false),
      out.write,
      {
        signal: never,
      },
    ),
  );
  const lines = out.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { end?: string });
  expect(lines).toHaveLength(6);
  expect(lines.at(-1)).toMatchObject({ end: 'completed' });
  expect(source.closed).toBeGreaterThan(0);
});

test('input that turns out to be broken is what is told, not the turn it ended', async () => {
  const source = audio(async function* () {
    yield part(0);
    throw new UsageError('the file became shorter');
  });
  const turn = withSession((session) =>
    runTurn(
      session,
      { kind: 'live', label: '', audio: source },
      new JsonRenderer(false),
      collector().write,
      {
        signal: never,
      },
    ),
  );
  await expect(turn).rejects.toThrow('the file became shorter');
  expect(source.closed).toBeGreaterThan(0);
});

test('Ctrl-C ends a turn whose input would never end, and closes the input', async () => {
  const controller = new AbortController();
  let released: () => void = () => undefined;
  const endless = audio(async function* () {
    yield part(0);
    await new Promise<void>((resolve) => (released = resolve));
  });
  const source: AudioSource = {
    parts: endless.parts,
    close: () => {
      released();
      return endless.close();
    },
  };
  const out = collector();
  const turn = withSession((session) =>
    runTurn(
      session,
      { kind: 'live', label: '', audio: source },
      new JsonRenderer(false),
      async (text) => {
        await out.write(text);
        controller.abort(new CabstandError('CANCELLED', 'interrupted'));
      },
      { signal: controller.signal },
    ),
  );
  await expect(turn).rejects.toMatchObject({ reason: 'CANCELLED' });
  expect(endless.closed).toBeGreaterThan(0);
});

test('a turn that fails still ends its line', async () => {
  const out = collector();
  const turn = withSession((session, mock) => {
    mock.fail({ kind: 'error', after: 1, error: 'INPUT_NOT_FINITE' });
    return runTurn(
      session,
      { kind: 'whole', label: '', prompt: 'one two three', tensors: [] },
      new TextRenderer(createStyle(false)),
      out.write,
      { signal: never },
    );
  });
  await expect(turn).rejects.toMatchObject({ reason: 'INPUT_NOT_FINITE' });
  expect(out.text).toMatch(/one.*\n$/);
});
