/** Where tests find models. */
import { join } from 'node:path';

const REPOSITORY = join(__dirname, '../../..');
export const BUNDLED = join(REPOSITORY, 'models');
export const SHARED = join(REPOSITORY, 'test/models');
export const OWN = join(REPOSITORY, 'libs/engine/fixtures/models');
