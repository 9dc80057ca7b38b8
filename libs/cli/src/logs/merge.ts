import { parseLine } from './parse';
import type { LogLine } from './parse';

/** A line, and the file that it is from where there are several. */
export interface SourcedLine {
  readonly source: string | undefined;
  readonly line: LogLine;
}

export interface Source {
  /** Undefined where there is one source only. */
  readonly name: string | undefined;
  readonly lines: AsyncGenerator<string>;
}

interface Head {
  readonly source: Source;
  readonly line: LogLine;
  /** Of the line, or of the last one before it that had a time: a stack stays below its error. */
  readonly timeMs: number;
}

/** The lines of several logs in the order of their times; of each log in its own order. */
export async function* merged(sources: readonly Source[]): AsyncGenerator<SourcedLine> {
  const heads: Head[] = [];
  const read = async (source: Source, before: number): Promise<void> => {
    const next = await source.lines.next();
    if (next.done === true) return;
    const line = parseLine(next.value);
    const timeMs = line.kind === 'record' ? (line.timeMs ?? before) : before;
    // Behind those of the same time: lines of one log stay together only where nothing came between.
    const at = heads.findIndex((head) => head.timeMs > timeMs);
    heads.splice(at < 0 ? heads.length : at, 0, { source, line, timeMs });
  };
  for (const source of sources) await read(source, -Infinity);
  for (let head = heads.shift(); head !== undefined; head = heads.shift()) {
    yield { source: head.source.name, line: head.line };
    await read(head.source, head.timeMs);
  }
}
