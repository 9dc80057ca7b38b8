import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { HttpAnswer } from '@cabstand/service';

/** Beside the code as it is built, and beside the sources. */
const PACKAGE = path.join(__dirname, '../..');
const FOLDERS = { still: path.join(PACKAGE, 'assets'), built: path.join(PACKAGE, 'dist/page') };

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
} as const;

/** Nothing from elsewhere, nothing inline, no page around it, and no address of it given away. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** A file of the page, and for `''` the page itself; undefined where there is no such file. */
export async function asset(name: string): Promise<HttpAnswer | undefined> {
  const file = name === '' ? 'index.html' : name;
  const [, extension] = /^[a-z][a-z-]*(\.[a-z]+)$/.exec(file) ?? [];
  if (extension === undefined || !isKnown(extension)) return undefined;
  const folder = extension === '.js' ? FOLDERS.built : FOLDERS.still;
  try {
    const body = await readFile(path.join(folder, file));
    return { status: 200, headers: { ...SAFE_HEADERS, 'content-type': TYPES[extension] }, body };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isKnown(extension: string): extension is keyof typeof TYPES {
  return Object.hasOwn(TYPES, extension);
}
