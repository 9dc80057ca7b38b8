/** Loads the author's file: TypeScript or JavaScript, without a build. */
import path from 'node:path';
import { createJiti } from 'jiti';
import { CabstandError, invalid } from '@cabstand/core';
import { Commands } from './commands';
import { publicMessage } from './failure';
import type { ThreadData } from './messages';

/** Why a session ended. */
interface SessionEnd {
  readonly reason: string;
  readonly error?: { readonly reason: string; readonly message: string };
}

/** What an author's file gives: the instance that `load` made. */
export interface AuthorModule {
  newState(parameters: Readonly<Record<string, unknown>>): unknown;
  startSession(context: unknown): Promise<void> | void;
  endSession?(context: unknown, end: SessionEnd): Promise<void> | void;
  snapshot?(state: unknown): unknown;
  restore?(data: unknown): unknown;
  unload?(): Promise<void> | void;
}

export interface Author {
  readonly module: AuthorModule;
  readonly commands: Commands;
  readonly stateVersion: number;
  readonly migrate: ((data: unknown, from: number) => unknown) | undefined;
}

/** The default export of an author's file. */
export interface AuthorClass {
  load(env: unknown): unknown;
  readonly commands?: unknown;
  readonly stateVersion?: unknown;
  readonly migrate?: unknown;
}

/**
 * @param env what `load` is given
 * @throws CabstandError MODULE_FAILED for a file that cannot be loaded, has no class as its default
 * export, declares what cannot be used, or whose `load` throws.
 */
export async function loadAuthor(
  { file, folder, limits }: Pick<ThreadData, 'file' | 'folder' | 'limits'>,
  env: object,
  progress: (stage: string) => void,
): Promise<Author> {
  const jiti = createJiti(__filename, { interopDefault: true, fsCache: false, moduleCache: true });
  progress('reading the module');
  let exported: unknown;
  try {
    exported = await jiti.import(file, { default: true });
  } catch (error) {
    throw failed(`it cannot be loaded: ${publicMessage(error, folder)}${importHint(error)}`, error);
  }
  if (!isModuleClass(exported))
    throw failed(
      `${path.basename(file)} has no default export with a static load(env): write ` +
        '`export default class … { static load(env) { … } }` (docs/modules.md)',
    );
  progress('loading the module');
  return await authorOf(exported, limits, env, folder);
}

/** @param folder that of the version @throws CabstandError MODULE_FAILED as `loadAuthor` */
export async function authorOf(
  exported: AuthorClass,
  limits: Pick<ThreadData['limits'], 'commandBytes' | 'resultBytes'>,
  env: object,
  folder = '',
): Promise<Author> {
  const { stateVersion = 0, migrate } = exported;
  if (!isVersion(stateVersion))
    throw invalid('MODULE_FAILED', 'stateVersion', stateVersion, 'an integer of 0 to 2^32-1');
  const commands = new Commands(exported.commands, limits);
  let module: unknown;
  try {
    module = await exported.load(env);
  } catch (error) {
    throw failed(`load threw ${publicMessage(error, folder)}`, error);
  }
  for (const method of ['newState', 'startSession'])
    if (!hasMethod(module, method))
      throw failed(`what load gave has no method ${method}: its sessions need one`);
  return {
    // State of a passenger is never left in the car.
    module: Object.freeze(module) as AuthorModule,
    commands,
    stateVersion,
    migrate:
      typeof migrate === 'function'
        ? (data, from): unknown => migrate.call(exported, data, from)
        : undefined,
  };
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

function failed(problem: string, cause?: unknown): CabstandError {
  return new CabstandError('MODULE_FAILED', `the module cannot be used: ${problem}`, { cause });
}

function importHint(error: unknown): string {
  const missing = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND';
  return missing
    ? '; a module brings what it imports: files in the folder of its version, packages in node_modules beside them'
    : '';
}

function isModuleClass(value: unknown): value is AuthorClass {
  return hasMethod(value, 'load');
}

function hasMethod(value: unknown, name: string): boolean {
  const holder = value as Record<string, unknown> | null | undefined;
  return (
    (typeof holder === 'object' || typeof holder === 'function') &&
    holder !== null &&
    typeof holder[name] === 'function'
  );
}
