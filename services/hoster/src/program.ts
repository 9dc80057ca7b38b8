import type { ServiceProgram } from '@cabstand/service';
import { hosterConfigSchema } from './config';
import { startHoster } from './hoster';

/** The hoster as a service: `runService(hosterProgram)`. */
export const hosterProgram: ServiceProgram<typeof hosterConfigSchema> = {
  name: 'cabstand hoster',
  service: 'hoster',
  summary: 'Loads models and serves sessions on them.',
  schema: hosterConfigSchema,
  start: startHoster,
};
