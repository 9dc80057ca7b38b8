import { realpathSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import type { SequenceSink } from '@cabstand/sessions';

/** Where this program lies, with all that it runs. */
const INSTALLED = path.resolve(__dirname, '../../../..');
/** What follows a folder's name up to the end of the path. */
const REST = `(?:[/\\\\][^\\s"'\`()<>|,;:]*)?(?![\\w.-])`;

/** What else of this machine is nobody's business: an engine's sockets, say. */
export interface LocalFolders {
  /** Of the model: `<repository>/<name>`. */
  readonly model: string;
  readonly others?: readonly string[];
}

/**
 * The error as callers may read it: files of a model are named from its repository on, files in this
 * machine's own folders (temporary, home, working, installed) by their last name, so that nobody learns
 * how folders are called here. Its cause has the whole paths, for the log.
 */
export function withoutLocalPaths(error: CabstandError, folders: LocalFolders): CabstandError {
  const said = (text: string): string => publicText(text, folders);
  const texts = [error.message, ...Object.values(error.metadata)];
  return texts.some((text) => said(text) !== text) ? reworded(error, said, error) : error;
}

/** The same error, each of its texts as `said` has it. */
export function reworded(
  { reason, message, metadata, retryAfterMs }: CabstandError,
  said: (text: string) => string,
  cause: CabstandError,
): CabstandError {
  return new CabstandError(reason, said(message), {
    metadata: rewordedFacts(metadata, said),
    cause,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

function rewordedFacts(
  facts: Readonly<Record<string, string>>,
  said: (text: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, said(value)]));
}

/** The same for a text alone. */
export function publicText(text: string, { model, others = [] }: LocalFolders): string {
  if (!/[/\\]/.test(text)) return text;
  const repository = path.dirname(model);
  let said = text.replaceAll(model, path.basename(model));
  if (!isRoot(repository)) said = said.replaceAll(repository, path.basename(repository));
  for (const folder of ownFolders(others))
    said = said.replace(
      new RegExp(`(?<![\\w./\\\\-])${escaped(folder)}${REST}`, 'g'),
      (found) => path.basename(found) || '…',
    );
  return said;
}

/** Tells a session what its engine says, without paths. */
export class WithoutPaths implements SequenceSink {
  readonly #sink: SequenceSink;
  readonly #folders: LocalFolders;

  constructor(sink: SequenceSink, folders: LocalFolders) {
    this.#sink = sink;
    this.#folders = folders;
  }

  chunk(...args: Parameters<SequenceSink['chunk']>): void {
    this.#sink.chunk(...args);
  }

  inputTaken(...args: Parameters<SequenceSink['inputTaken']>): void {
    this.#sink.inputTaken(...args);
  }

  snapshot(...args: Parameters<SequenceSink['snapshot']>): void {
    this.#sink.snapshot(...args);
  }

  record(...args: Parameters<SequenceSink['record']>): void {
    this.#sink.record(...args);
  }

  held(...args: Parameters<SequenceSink['held']>): void {
    this.#sink.held(...args);
  }

  notice(...args: Parameters<SequenceSink['notice']>): void {
    this.#sink.notice(...args);
  }

  endOfTurn(turn: number, end: TurnEnd): void {
    this.#sink.endOfTurn(turn, publicEnd(end, this.#folders));
  }

  failed(error: CabstandError): void {
    this.#sink.failed(withoutLocalPaths(error, this.#folders));
  }
}

function publicEnd(end: TurnEnd, folders: LocalFolders): TurnEnd {
  if (end.reason !== 'error') return end;
  const { error } = end;
  const said = (text: string): string => publicText(text, folders);
  return {
    ...end,
    error: {
      ...error,
      message: said(error.message),
      metadata: rewordedFacts(error.metadata, said),
    },
  };
}

/** The longest first: one may lie in another. */
function ownFolders(others: readonly string[]): readonly string[] {
  const named = [tmpdir(), homedir(), process.cwd(), INSTALLED, ...others];
  const all = new Set(
    [...named, ...named.map(real)].map((folder) => folder.replace(/[/\\]+$/, '')),
  );
  return [...all]
    .filter((folder) => path.isAbsolute(folder) && !isRoot(folder))
    .sort((a, b) => b.length - a.length);
}

function real(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

const isRoot = (folder: string): boolean => folder === path.parse(folder).root;

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
