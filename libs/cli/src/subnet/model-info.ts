import type { v1 } from '@cabstand/rpc';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { withConnection } from './flags';
import type { SubnetFlags } from './flags';

/** What a model takes and gives, as a hoster says it. Throws UsageError where that has no such model. */
export function modelInfo(
  context: CliContext,
  flags: SubnetFlags,
  name: string,
): Promise<v1.ModelInfo__Output> {
  return withConnection(context, flags, 'client', async (connection, hoster) => {
    const { address, info } = await connection.anyHoster(hoster, [name]);
    const model = info.models.find(({ offer }) => offer?.name === name);
    if (model !== undefined) return model;
    const others = (await connection.info(address)).models.map(({ offer }) => offer?.name ?? '?');
    throw new UsageError(
      `${address} has no model ${name}`,
      `It has ${others.join(', ') || 'none'}.`,
    );
  });
}
