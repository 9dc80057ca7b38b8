import type { ServiceProgram } from '@cabstand/service';
import { gatewayConfigSchema } from './config';
import { startGateway } from './gateway';

/** The gateway as a service: `runService(gatewayProgram)`. */
export const gatewayProgram: ServiceProgram<typeof gatewayConfigSchema> = {
  name: 'cabstand gateway',
  service: 'gateway',
  summary:
    'Serves sessions to callers that know nothing of hosters, and goes on elsewhere when one dies.',
  common: [
    'routers',
    'listen',
    'admin.listen',
    'auth.mode',
    'auth.keys',
    'auth.key',
    'auth.audiences',
    'tls.cert',
    'tls.key',
    'tls.ca',
    'log.level',
    'log.format',
  ],
  example: 'cabstand gateway --routers 127.0.0.1:50050 --config gateway.yaml',
  schema: gatewayConfigSchema,
  start: startGateway,
};
