import { existsSync } from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors';

export type ServiceName = 'router' | 'hoster' | 'gateway';

/** A service's own exit code for an address in use (@cabstand/service); this program's 3 says something else. */
export const SERVICE_ADDRESS_IN_USE = 3;

/** The program of a service: found by its package, run as a process of its own, never imported. */
export function servicePath(name: ServiceName): string {
  let main: string;
  try {
    main = path.join(
      path.dirname(require.resolve(`@cabstand/${name}/package.json`)),
      'dist/main.js',
    );
  } catch (error) {
    throw new UsageError(
      `@cabstand/${name} is not installed`,
      'Run `npm run build` in the project folder.',
      error,
    );
  }
  if (!existsSync(main))
    throw new UsageError(`the ${name} is not built: ${main} is missing`, 'Run `npm run build`.');
  return main;
}
