import type { v1 } from '@cabstand/rpc';
import { ok, warn } from './finding';
import type { Finding } from './finding';

/** What a hoster at an address says about itself. */
export interface HosterAnswer {
  readonly address: string;
  readonly info: Pick<v1.InfoResponse__Output, 'models'>;
}

/**
 * Which execution provider serves each model at each hoster. Warns where a model runs on another one than its
 * manifest here prefers, or than elsewhere in the subnet.
 *
 * @param preferred the first provider in each model's manifest, by the model's name
 */
export function checkProviders(
  hosters: readonly HosterAnswer[],
  preferred: ReadonlyMap<string, string>,
): Finding[] {
  const used = new Map<string, Set<string>>();
  const served = hosters.map(({ address, info }) => ({
    address,
    models: info.models.flatMap(({ offer, state }) =>
      offer === null || offer.provider === '' || state !== 'MODEL_STATE_READY' ? [] : [offer],
    ),
  }));
  for (const { name, provider } of served.flatMap(({ models }) => models))
    used.set(name, (used.get(name) ?? new Set()).add(provider));
  const findings = served.flatMap(({ address, models }) => {
    if (models.length === 0) return [];
    const about = `provider ${address}`;
    const others = models.filter(
      ({ name, provider }) => (preferred.get(name) ?? provider) !== provider,
    );
    return others.length === 0
      ? [ok(about, models.map(({ name, provider }) => `${name} on ${provider}`).join(', '))]
      : others.map(({ name, provider }) =>
          warn(
            about,
            `${name} runs on ${provider}, though its manifest lists ${preferred.get(name) ?? ''} first`,
            `See the hoster's log for why, and run \`cabstand doctor\` there: "onnx ${preferred.get(name) ?? ''}" says whether it can be used.`,
          ),
        );
  });
  const uneven = [...used].filter(([, providers]) => providers.size > 1);
  return [
    ...findings,
    ...uneven.map(([name, providers]) =>
      warn(
        'provider',
        `${name} runs on ${[...providers].sort().join(' and ')} at different hosters`,
        'Streams change speed as they move. Run `cabstand doctor` on the slower ones.',
      ),
    ),
  ];
}
