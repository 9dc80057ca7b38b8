import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder that is gone after the tests. */
export class Folder {
  readonly path = mkdtempSync(path.join(tmpdir(), 'cabstand-cli-'));

  write(name: string, content: string | Uint8Array): string {
    const file = path.join(this.path, name);
    writeFileSync(file, content);
    return file;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/**
 * The tests of a file stand in an empty folder: commands take keys from `.cabstand/keys` of the
 * folder that they stand in, and `npm start` leaves some in that of the project.
 */
export function standInEmptyFolder(): void {
  const folder = new Folder();
  const before = process.cwd();
  beforeAll(() => {
    process.chdir(folder.path);
  });
  afterAll(() => {
    process.chdir(before);
    folder.remove();
  });
}
