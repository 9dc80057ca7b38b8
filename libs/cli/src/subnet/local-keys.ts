import { addMember, generateSubnetKeys, subnetMembers } from '@cabstand/auth';
import { hasSubnetKeys } from './key-folder';
import type { SubnetLayout } from './layout';

/** What was done: a new folder of keys, or keys for those that had none in the folder that is there. */
export type LocalKeys =
  { readonly kind: 'new' } | { readonly kind: 'there'; readonly added: readonly string[] };

/**
 * Makes the keys that a local subnet lacks: each hoster has one of its own. A folder that is there stays
 * as it is, but for hosters without a key: more hosters than last time, or a folder of the time when all
 * hosters had one key, `hoster.key.json`.
 */
export async function makeLocalKeys({ keys, hosters }: SubnetLayout): Promise<LocalKeys> {
  if (!hasSubnetKeys(keys)) {
    await generateSubnetKeys({
      folder: keys,
      members: subnetMembers(hosters.map(({ name }) => ({ name }))),
    });
    return { kind: 'new' };
  }
  const added: string[] = [];
  for (const { name } of hosters) {
    const { key } = await addMember({ folder: keys, name, roles: ['hoster'] });
    if (key === 'made') added.push(name);
  }
  return { kind: 'there', added };
}
