/** Folders in which the programs of the documentation lie as in a project that has installed their packages. */
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

/**
 * Makes an empty project of ECMAScript modules; the caller removes it. It lies within the repository, so that packages
 * are found, and among what was built, so that the linters that run beside the tests do not look into it.
 */
export function projectFolder(): string {
  const folder = mkdtempSync(path.join(REPOSITORY_ROOT, 'test', 'dist', 'project-'));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}

/** Puts the keys of a subnet, and the recordings and pictures of the tests, where the programs look for them. */
export function equip(folder: string, { keys }: Subnet): void {
  mkdirSync(path.join(folder, '.cabstand'));
  symlinkSync(keys, path.join(folder, '.cabstand/keys'));
  mkdirSync(path.join(folder, 'test'));
  symlinkSync(path.join(REPOSITORY_ROOT, 'test/assets'), path.join(folder, 'test/assets'));
}

/** A program as Node runs it, with the subnet's router in place of the documentation's. */
export function compiled(source: string, { routerAddresses }: Subnet): string {
  const { outputText } = ts.transpileModule(
    source.replaceAll('127.0.0.1:50050', routerAddresses[0]!),
    { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } },
  );
  return outputText;
}
