/** A session of an author in this thread, without a worker. */
import type { Survival } from '@cabstand/model';
import type { RecordItem } from '../../frames/module-frames';
import type { StepItem, TurnEnd } from '../../frames/types';
import { decodeChunk } from '../../verify/decode-chunk';
import type { AuthorClass, AuthorModule } from './author';
import type { Context } from './context';
import { turnOfLoop } from './exactly-once.fixture';
import { Life, dataOf } from './host.fixture';
import type { ThreadData, Turn } from './messages';

export interface Run {
  readonly life: Life;
  readonly items: StepItem[];
  readonly records: () => RecordItem[];
  readonly until: (ready: () => boolean) => Promise<void>;
  readonly end: () => Promise<TurnEnd>;
}

export async function running(
  startSession: (ctx: Context) => Promise<void>,
  {
    survival = 'none',
    credit = 1000,
    live = false,
    more = {},
    module = {},
    commands = {},
  }: {
    survival?: Survival;
    credit?: number;
    live?: boolean;
    more?: Partial<ThreadData>;
    module?: Partial<AuthorModule>;
    commands?: object;
  } = {},
): Promise<Run> {
  const author: AuthorClass = {
    load: () => ({ newState: () => ({ count: 0 }), startSession, ...module }),
    commands,
  };
  const life = await Life.begin(author, dataOf(survival, more), 5);
  life.flags.grant(credit, 1e9);
  life.send({ kind: 'open', sequence: 1, place: 0, seed: 7, session: 'name', snapshots: false });
  const turn: Turn = { number: 0, prompt: '', parameters: {}, inputs: [], live, continued: false };
  life.send({ kind: 'turn', sequence: 1, turn });
  const items: StepItem[] = [];
  const until = async (ready: () => boolean): Promise<void> => {
    for (;;) {
      items.push(...life.arrived());
      if (ready()) return;
      await turnOfLoop();
    }
  };
  const end = async (): Promise<TurnEnd> => {
    await until(() => items.some(({ kind }) => kind === 'end'));
    const [found] = items.flatMap((item) => (item.kind === 'end' ? [item.end] : []));
    if (found === undefined) throw new Error('no end');
    return found;
  };
  const records = (): RecordItem[] =>
    items.flatMap((item) => (item.kind === 'record' ? [item] : []));
  return { life, items, records, until, end };
}

export const text = ({ body }: RecordItem): string => decodeChunk(body).text;
export const say = (ctx: Context, said: string): Promise<void> => ctx.emit({}, { text: said });
