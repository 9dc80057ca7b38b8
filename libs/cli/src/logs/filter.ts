import { LEVELS } from './parse';
import type { Level } from './parse';
import type { SourcedLine } from './merge';

export interface LogFilter {
  /** Least severity. */
  readonly level?: Level;
  /** Names of services, or of files without their ending. */
  readonly services?: readonly string[];
  readonly pattern?: RegExp;
  readonly session?: string;
}

/**
 * Whether a line is wanted. Lines that no service wrote have neither level nor session: they tell of what went
 * wrong outside the log, and are left out by the pattern and the name of their file alone.
 *
 * @param pretty the line as it would be shown, without colours
 */
export function wanted(filter: LogFilter, { source, line }: SourcedLine, pretty: string): boolean {
  const { level, services, pattern, session } = filter;
  if (pattern !== undefined && !pattern.test(line.line) && !pattern.test(pretty)) return false;
  if (line.kind === 'other')
    return services === undefined || source === undefined || services.includes(source);
  if (services !== undefined && ![line.name, source].some((name) => services.includes(name ?? '')))
    return false;
  if (level !== undefined && LEVELS.indexOf(line.level) < LEVELS.indexOf(level)) return false;
  return (
    session === undefined || [line.facts['session_id'], line.facts['session']].includes(session)
  );
}
