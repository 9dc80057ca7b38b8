import { addMember, generateSubnetKeys, subnetMembers } from '@cabstand/auth-admin';
import type { Member } from '@cabstand/auth-admin';
import { hasSubnetKeys } from './key-folder';
import type { SubnetLayout } from './layout';

/** What was done: a new folder of keys, or keys for those that had none in the folder that is there. */
export type LocalKeys =
  { readonly kind: 'new' } | { readonly kind: 'there'; readonly added: readonly string[] };

/**
 * Makes the keys that a local subnet lacks: each hoster has one of its own. A folder that is there stays
 * as it is, but for a gateway or hosters without a key: more hosters than last time, or a folder of the time when all
 * hosters had one key, `hoster.key.json`.
 */
export async function makeLocalKeys({ keys, hosters, gateway }: SubnetLayout): Promise<LocalKeys> {
  const speakers: Member[] =
    gateway === undefined ? [] : [{ name: gateway.name, roles: ['gateway'] }];
  if (!hasSubnetKeys(keys)) {
    await generateSubnetKeys({
      folder: keys,
      members: [...subnetMembers(hosters.map(({ name }) => ({ name }))), ...speakers],
    });
    return { kind: 'new' };
  }
  const added: string[] = [];
  const hosting = hosters.map(({ name }): Member => ({ name, roles: ['hoster'] }));
  for (const member of [...hosting, ...speakers]) {
    const { key } = await addMember({ folder: keys, ...member });
    if (key === 'made') added.push(member.name);
  }
  return { kind: 'there', added };
}
