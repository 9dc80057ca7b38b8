/**
 * What callers hear of a model that cannot be loaded. Model folders hold what the operator's people put
 * there, by mistake perhaps a link to something else: whoever may only call a model learns the reason, the
 * file within the model's folder and the key. Administrators get all that is said, and the log paths too.
 */
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { reworded, withoutLocalPaths } from './local-paths';
import type { LocalFolders } from './local-paths';

const LONGEST_VALUE = 60;
const LONGEST_EXPECTED = 300;
/** An absolute path of this machine; only its last name is left. */
const ANY_PATH = /(?<![\w./\\-])(?:\/[\w.@+-]+)+\/([\w.@+-]*)/g;

/** The errors behind those that callers get. */
const wholes = new WeakMap<CabstandError, CabstandError>();

/** The error for callers. `wholeError` has the one that was given. */
export function toldToCallers(error: CabstandError, folders: LocalFolders): CabstandError {
  const short = error.reason === 'MANIFEST_INVALID' ? shortened(error) : error;
  const local = withoutLocalPaths(short, folders);
  const whole = withoutLocalPaths(error, folders);
  const told = reworded(local, (text) => text.replace(ANY_PATH, '…/$1'), error);
  wholes.set(told, whole);
  return told;
}

/** All that is known, for administrators: without folders of this machine, which only the log names. */
export function wholeError(error: CabstandError): CabstandError {
  return wholes.get(error) ?? error;
}

/** The text of an error with all that is known of it. */
export function wholeText(error: CabstandError): string {
  const whole = wholes.get(error);
  if (whole !== undefined) return whole.message;
  const { cause, message } = error;
  if (!CabstandError.is(cause) || wholeText(cause) === cause.message) return message;
  return `${message}: ${wholeText(cause)}`;
}

/** The first problem, with a value only where a manifest has it. */
function shortened({ metadata, message }: CabstandError): CabstandError {
  const { file, field, value, expected = '', problems } = metadata;
  if (file === undefined)
    return new CabstandError('MANIFEST_INVALID', cut(message, LONGEST_EXPECTED));
  const facts = { file, ...(field !== undefined && { field }) };
  const more = problems === undefined ? '' : ` (${problems} problems)`;
  const where = [file, ...(field === undefined ? [] : [field])].join(': ');
  if (isManifest(file) && field === undefined)
    return new CabstandError('MANIFEST_INVALID', cut(message, LONGEST_EXPECTED), {
      metadata: facts,
    });
  if (!isManifest(file) || field === '(root)' || field === '(file)')
    return new CabstandError('MANIFEST_INVALID', `${where}: cannot be used${more}`, {
      metadata: facts,
    });
  const wanted = cut(expected, LONGEST_EXPECTED);
  const got = value === undefined ? 'not right' : `got ${cut(value, LONGEST_VALUE)}`;
  return new CabstandError('MANIFEST_INVALID', `${where}: ${got}, expected ${wanted}${more}`, {
    metadata: {
      ...facts,
      ...(value !== undefined && { value: cut(value, LONGEST_VALUE) }),
      expected: wanted,
    },
  });
}

/** `model.yaml`, or `model.yaml (variant …)`. */
function isManifest(file: string): boolean {
  return path.basename(file.replace(/ \(variant .*\)$/, '')) === 'model.yaml';
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
