import type { Command } from 'commander';
import { endKeys, retiredKeys, subnetPaths } from '@cabstand/auth-admin';
import type { RetiredKey } from '@cabstand/auth-admin';
import { timeOption } from '../../arguments';
import type { CliContext } from '../../context';
import { UsageError } from '../../errors';
import { routersOf } from '../../subnet/flags';
import { metricsFlags, metricsSource } from '../../top/metrics-flags';
import type { MetricsFlags } from '../../top/metrics-flags';
import { scrapeAll } from '../../top/scrape';
import type { Scraped } from '../../top/scrape';
import { copyPublicKeys, guarded, moment, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';

interface RetireFlags extends FolderFlags, MetricsFlags {
  readonly unusedFor: number;
  readonly force?: true;
}

const UNUSED_MS = 3_600_000;
const TIMEOUT_MS = 5000;
/** Timestamps go as seconds in floating point. */
const SAME_MS = 1;

/** Services look at the key set that often, so that they may learn of a retired key in two places at two times. */
const LEARN_MS = 10_000;

const KNOWN_SINCE = 'cabstand_retired_key_known_since_timestamp_seconds';
const LAST_USED = 'cabstand_retired_key_last_used_timestamp_seconds';
type Told = Extract<Scraped, { kind: 'ok' }>;

const OWN_END = 'cabstand_own_key_expiry_timestamp_seconds';

export function registerRetire(keys: Command, context: CliContext): void {
  const command = withFolder(keys.command('retire <name>'))
    .summary('Ends the old keys of a member before their time, if nobody uses them.')
    .description(
      'Ends the keys of a member that a rotation has replaced, before the end that it gave them. Asks the services first who still signs with them, and refuses where somebody does, or where they do not say.',
    )
    .addOption(timeOption('--unused-for <time>', 'how long nobody may have used them', UNUSED_MS))
    .option('--force', 'end them whoever uses them: a key was stolen');
  metricsFlags(command)
    .addHelpText(
      'after',
      `
Name the admin ports of all routers, hosters and gateways: a key counts as unused where none of those has seen it.

Example:
  $ cabstand keys retire client --out keys \\
      --metrics https://10.0.0.7:8050,https://10.0.0.8:8051 --metrics-token-file keys/admin.token`,
    )
    .action((name: string, flags: RetireFlags) => guarded(() => retire(context, name, flags)));
}

async function retire(context: CliContext, name: string, flags: RetireFlags): Promise<void> {
  const { out: folder } = flags;
  const old = retiredKeys({ folder, name });
  if (old.length === 0) {
    await context.terminal.out(`${name} has no old key that is still good\n`);
    return;
  }
  if (flags.force !== true) await refuseInUse(context, name, old, flags);
  endKeys(
    { folder, name },
    old.map(({ id }) => id),
  );
  await context.terminal.out(
    old.map(({ id }) => `${id} is good no more as soon as servers have this file\n`).join('') +
      nextSteps([copyPublicKeys(folder)]),
  );
}

/** Throws a UsageError where somebody uses one of the keys, or nobody can say. */
async function refuseInUse(
  { env, terminal }: CliContext,
  name: string,
  old: readonly RetiredKey[],
  flags: RetireFlags,
): Promise<void> {
  const { urls, token } = metricsSource(flags, env, routersOf({ timeout: TIMEOUT_MS }, env));
  const otherwise = `Or wait: ${old.map(({ id, notAfterMs }) => `${id} ends ${moment(notAfterMs)}`).join(', ')}. With --force they end whoever uses them.`;
  if (urls.length === 0)
    throw new UsageError(
      `nobody says whether somebody still signs with an old key of ${name}`,
      `Name the admin ports of all services with --metrics. ${otherwise}`,
    );
  const ca = urls.some((url) => url.startsWith('https:')) ? subnetPaths(flags.out).ca : undefined;
  const scrapes = await scrapeAll(urls, {
    token,
    ca,
    timeoutMs: TIMEOUT_MS,
    signal: terminal.signal,
  });
  const uses = scrapes.flatMap((scraped) => usesIn(scraped, old, Date.now() - flags.unusedFor));
  if (uses.length > 0)
    throw new UsageError(
      `an old key of ${name} may still be in use:\n${uses.map((use) => `  ${use}`).join('\n')}`,
      `Give its member the newest ${subnetPaths(flags.out).key(name)} and restart it. ${otherwise}`,
    );
}

/** What speaks against ending the keys, in the words of one service. */
function usesIn(scraped: Scraped, old: readonly RetiredKey[], sinceMs: number): string[] {
  if (scraped.kind === 'failed') return [`${scraped.url} does not say: ${scraped.error}`];
  return [...unseenIn(scraped, old, sinceMs), ...seenIn(scraped, old, sinceMs)];
}

/** Whoever does not know that a key was retired, or only since a moment ago, cannot say that nobody uses it. */
function unseenIn({ url, samples }: Told, old: readonly RetiredKey[], sinceMs: number): string[] {
  return old.flatMap(({ id }) => {
    const known = samples.find(({ name, labels }) => name === KNOWN_SINCE && labels['key'] === id);
    if (known === undefined) return [`${url} does not know yet that ${id} was replaced`];
    const knownMs = known.value * 1000;
    return knownMs > Math.min(sinceMs, Date.now() - LEARN_MS)
      ? [`${url} knows only since ${moment(knownMs)} that ${id} was replaced`]
      : [];
  });
}

function seenIn({ url, samples }: Told, old: readonly RetiredKey[], sinceMs: number): string[] {
  return samples.flatMap(({ name, labels, value }) => {
    const valueMs = value * 1000;
    if (name === OWN_END)
      return old.some(({ notAfterMs }) => Math.abs(notAfterMs - valueMs) <= SAME_MS)
        ? [`${url} signs with it`]
        : [];
    if (name !== LAST_USED || valueMs < sinceMs) return [];
    return old.some(({ id }) => id === labels['key'])
      ? [`${url} was called with ${labels['key'] ?? ''}, last ${moment(valueMs)}`]
      : [];
  });
}
