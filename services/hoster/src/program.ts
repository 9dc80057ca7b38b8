import type { ServiceProgram } from '@cabstand/service';
import { hosterConfigSchema } from './config';
import { startHoster } from './hoster';

/** The hoster as a service: `runService(hosterProgram)`. */
export const hosterProgram: ServiceProgram<typeof hosterConfigSchema> = {
  name: 'cabstand hoster',
  service: 'hoster',
  summary: 'Loads models and serves sessions on them.',
  common: [
    'models',
    'only',
    'routers',
    'node_id',
    'listen',
    'advertise',
    'admin.listen',
    'auth.mode',
    'auth.keys',
    'auth.key',
    'tls.cert',
    'tls.key',
    'tls.ca',
    'log.level',
    'log.format',
  ],
  example: 'cabstand hoster --config hoster.yaml',
  schema: hosterConfigSchema,
  start: startHoster,
};
