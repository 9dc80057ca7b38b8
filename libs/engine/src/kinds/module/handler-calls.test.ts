/** What a command's handler was answered by the reader's pace, and by what had come, is the same in a second life. */
import { tensorOf } from '@cabstand/tensor';
import { RecordField } from '../../frames/module-frames';
import type { AuthorClass } from './author';
import type { Context } from './context';
import { turnOfLoop } from './exactly-once.fixture';
import { Host, dataOf } from './host.fixture';
import type { Part } from './messages';
import { say, text } from './session.fixture';

/** Lets the first life wait within its handler until something has happened. */
class Gate {
  readonly #passed: Promise<void>;
  reached = false;
  open: () => void = () => undefined;

  constructor() {
    this.#passed = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  pass(): Promise<void> {
    this.reached = true;
    return this.#passed;
  }
}

interface Case {
  /** Records that may be made unread. */
  readonly window: number;
  /** A call of the loop, in which the handler runs. */
  readonly loop: (ctx: Context) => Promise<unknown>;
  readonly handler: (ctx: Context, pass: () => Promise<void>) => Promise<unknown[]>;
  /** What happens at each `pass`, in order. */
  readonly happens: readonly ((host: Host) => void)[];
}

/** What handler and loop were answered, which a second life has to come to as well. */
async function answersOf({ window, loop, handler, happens }: Case): Promise<unknown> {
  const gates = happens.map(() => new Gate());
  const made = (): AuthorClass => {
    const left = [...gates];
    let answers: unknown[] = [];
    const pass = async (): Promise<void> => left.shift()?.pass();
    return {
      load: () => ({
        newState: () => ({ over: false }),
        async startSession(ctx: Context): Promise<void> {
          const own = await loop(ctx);
          await say(ctx, JSON.stringify([...answers, own]));
          while (!(ctx.state as { over: boolean }).over) await ctx.idle();
        },
      }),
      commands: {
        ask: {
          async handle(ctx: Context) {
            answers = await handler(ctx, pass);
          },
        },
        end: { handle: (ctx: Context) => void ((ctx.state as { over: boolean }).over = true) },
      },
    };
  };
  const host = new Host(() => dataOf('replay'), made, window);
  const until = async (ready: () => boolean): Promise<void> => {
    while (!ready()) {
      await turnOfLoop();
      host.take();
    }
  };
  const told = (): string | undefined =>
    host.records
      .flatMap((record) => (record.field === RecordField.chunk ? [text(record)] : []))
      .find((said) => said.startsWith('['));
  await host.begin();
  host.command({ number: 0, name: 'ask', arguments: '' });
  for (const [index, gate] of gates.entries()) {
    await until(() => gate.reached);
    happens[index]?.(host);
    // The thread takes what came.
    for (let turns = 0; turns < 10; turns += 1) await turnOfLoop();
    gate.open();
  }
  const reads = (ready: () => boolean): Promise<void> =>
    until(() => {
      host.read(100);
      host.grant();
      return ready();
    });
  await reads(() => told() !== undefined);
  await host.engineDies();
  host.command({ number: 1, name: 'end', arguments: '' });
  await reads(() => host.end !== undefined);
  expect(host.end).toMatchObject({ reason: 'completed' });
  return JSON.parse(told() ?? '');
}

test('which calls of tryEmit made a record', async () => {
  const answers = await answersOf({
    window: 2,
    loop: (ctx) => ctx.idle(),
    async handler(ctx, pass) {
      const tries = [await ctx.tryEmit({}, { text: 'a' }), await ctx.tryEmit({}, { text: 'b' })];
      await pass();
      return [...tries, await ctx.tryEmit({}, { text: 'c' })];
    },
    happens: [
      (host) => {
        host.take();
        host.read(100);
        host.grant();
      },
    ],
  });
  expect(answers).toEqual([true, false, true, true]);
});

const part = (number: number): Part => {
  const inputs = [tensorOf('x', Float32Array.of(number))];
  return { number, inputs, last: false };
};
const latest = async (ctx: Context): Promise<unknown> =>
  (await ctx.input({ latest: true }))?.x?.data[0];

test('which parts each call of input({ latest }) was given', async () => {
  const give =
    (...numbers: number[]) =>
    (host: Host): void =>
      numbers.forEach((number) => host.part(part(number)));
  const answers = await answersOf({
    window: 20,
    loop: latest,
    async handler(ctx, pass) {
      await pass();
      const first = await latest(ctx);
      await pass();
      const second = await latest(ctx);
      await pass();
      return [first, second];
    },
    happens: [give(0, 1), give(2, 3), give(4, 5)],
  });
  expect(answers).toEqual([1, 3, 5]);
});
