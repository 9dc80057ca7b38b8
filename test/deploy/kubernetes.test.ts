/** deploy/kubernetes without a cluster: do its parts fit one another, the image, and what services read? */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import {
  KUBERNETES,
  baseManifests,
  documents,
  podEnvironment,
  selects,
  yamlFiles,
} from '../support/kubernetes';
import type { Manifest } from '../support/kubernetes';
import { isService, portOf, serviceConfig } from '../support/service-config';

/** What the process does besides `shutdown_seconds` when it ends, in seconds, and some more. */
const MARGIN_SECONDS = 25;

const manifests = baseManifests();
const of = (kind: string) => manifests.filter((each) => each.kind === kind);
const sets = of('StatefulSet');
const named = sets.map((set): [string, Manifest] => [set.metadata.name, set]);
const labelsOf = (set: Manifest) => set.spec.template.metadata.labels;

/** The configuration that a pod's container starts with, read from the file in the ConfigMap. */
function configOf(set: Manifest) {
  const [name, flag, file] = set.spec.template.spec.containers[0]!.args;
  if (!isService(name) || flag !== '--config') throw new Error(`no service: ${String(name)}`);
  const config = path.join(KUBERNETES, 'base', file!.replace(/^\//, ''));
  return serviceConfig(name, ['--config', config], podEnvironment(set));
}

test.each(yamlFiles())('%s is YAML, and what it names is there', (file) => {
  const folder = path.dirname(path.join(KUBERNETES, file));
  for (const document of documents(file) as Record<string, unknown>[]) {
    expect(document).toBeTruthy();
    const generated = (document.configMapGenerator ?? []) as { files: string[] }[];
    const patches = (document.patches ?? []) as { path?: string }[];
    const paths = [
      ...((document.resources ?? []) as string[]),
      ...((document.components ?? []) as string[]),
      ...generated.flatMap(({ files }) => files),
      ...patches.flatMap((patch) => patch.path ?? []),
    ];
    expect(paths.filter((each) => !existsSync(path.join(folder, each)))).toEqual([]);
  }
});

test('there are routers, hosters and gateways, each with a budget for disruptions', () => {
  const names = ['router', 'hoster', 'gateway'];
  expect(sets.map(({ metadata }) => metadata.name)).toEqual(names);
  expect(of('PodDisruptionBudget').map(({ metadata }) => metadata.name)).toEqual(names);
  for (const [at, budget] of of('PodDisruptionBudget').entries())
    expect(selects(budget.spec.selector, labelsOf(sets[at]!))).toBe(true);
});

test.each(named)(
  '%s starts with its configuration, at the ports that are declared',
  (name, set) => {
    const [container] = set.spec.template.spec.containers;
    const { listen, admin } = configOf(set);
    expect(container!.ports).toEqual([
      { name: 'grpc', containerPort: portOf(listen) },
      { name: 'admin', containerPort: portOf(admin.listen) },
    ]);
    for (const probe of [
      container!.startupProbe,
      container!.readinessProbe,
      container!.livenessProbe,
    ]) {
      expect(probe.httpGet).toMatchObject({ port: 'admin', scheme: 'HTTPS' });
      // By default a second, which a busy machine takes.
      expect(probe.timeoutSeconds).toBe(5);
    }
    expect(container!.readinessProbe.httpGet.path).toBe('/readyz');
    expect(container!.livenessProbe.httpGet.path).toBe('/healthz');
    expect(container!.args[0]).toBe(name);
  },
);

test.each(named)(
  'the variables and the file of %s are refused with a key that does not exist',
  (name, set) => {
    if (!isService(name)) throw new Error(name);
    const env = { ...podEnvironment(set), CABSTAND_NO_SUCH_SETTING: '1' };
    const file = path.join(KUBERNETES, `base/config/${name}.yaml`);
    expect(() => serviceConfig(name, ['--config', file], env)).toThrow(/CABSTAND_NO_SUCH_SETTING/);
  },
);

test('the image is the one of deploy/Dockerfile, whose entry point takes these arguments', () => {
  const dockerfile = readFileSync(path.join(REPOSITORY_ROOT, 'deploy/Dockerfile'), 'utf8');
  expect(dockerfile).toMatch(/^ENTRYPOINT \["cabstand"\]$/m);
  expect(dockerfile).toMatch(/^COPY models models$/m);
  expect(dockerfile).toMatch(/^WORKDIR \/app$/m);
  const [example] = documents('overlays/example/kustomization.yaml') as {
    images: { name: string }[];
  }[];
  const images = sets.map((set) => set.spec.template.spec.containers[0]!.image);
  expect(new Set(images)).toEqual(new Set(example!.images.map((image) => image.name)));
});

test.each(named)(
  'selectors of %s find its pods, and its names are given by a headless service',
  (name, set) => {
    expect(selects(set.spec.selector, labelsOf(set))).toBe(true);
    const governing = of('Service').find(({ metadata }) => metadata.name === set.spec.serviceName);
    expect(governing?.spec.clusterIP).toBe('None');
    const serving = of('Service').filter(({ spec }) =>
      selects({ matchLabels: spec.selector }, labelsOf(set)),
    );
    expect(serving).toContain(governing);
    for (const { spec } of serving)
      expect(spec.ports.map(({ port, targetPort }) => [port, targetPort])).toEqual([
        [portOf(configOf(set).listen), 'grpc'],
      ]);
    expect(serving).toHaveLength(name === 'gateway' ? 2 : 1);
  },
);

test('every service finds pods', () => {
  for (const { spec } of of('Service'))
    expect(
      sets.filter((set) => selects({ matchLabels: spec.selector }, labelsOf(set))),
    ).toHaveLength(1);
});

test.each(named)(
  '%s may write to /tmp only, is not root, gains nothing and is bounded',
  (_, set) => {
    const { securityContext, containers, volumes, automountServiceAccountToken } =
      set.spec.template.spec;
    const [container] = containers;
    expect(securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(automountServiceAccountToken).toBe(false);
    expect(container!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(Object.keys(container!.resources.limits)).toContain('memory');
    const writable = container!.volumeMounts.filter(({ readOnly }) => readOnly !== true);
    expect(writable.map(({ mountPath }) => mountPath)).toEqual(['/tmp']);
    expect(volumes.map((volume) => volume.name).sort()).toEqual(
      [...new Set(container!.volumeMounts.map((mount) => mount.name))].sort(),
    );
  },
);

test.each(named)('every file that the configuration of %s names is mounted', (name, set) => {
  const text = readFileSync(path.join(KUBERNETES, `base/config/${name}.yaml`), 'utf8');
  const files = [...text.matchAll(/: (\/(?:keys|tmp)\/\S+)$/gm)].map(([, file]) => file!);
  const { volumeMounts } = set.spec.template.spec.containers[0]!;
  expect(files.length).toBeGreaterThan(5);
  const mounted = (file: string) =>
    volumeMounts.some(({ mountPath }) => file === mountPath || file.startsWith(`${mountPath}/`));
  expect(files.filter((file) => !mounted(file))).toEqual([]);
  // Own keys one by one, by the name of the pod: nobody sees those of the others.
  const own = volumeMounts.filter((mount) => mount.name === 'keys');
  expect(own.map((mount) => mount.subPathExpr)).toEqual(
    ['key.json', 'crt', 'key'].map((end) => `$(POD_NAME).${end}`),
  );
});

test.each(named)('%s is given longer to end than it takes', (name, set) => {
  const { shutdown_seconds } = configOf(set);
  const { terminationGracePeriodSeconds } = set.spec.template.spec;
  expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(2 * shutdown_seconds + 5);
  expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(shutdown_seconds + MARGIN_SECONDS);
  if (name !== 'hoster') return;
  const [patch] = documents('components/drain/hoster.yaml') as Manifest[];
  const pod = patch!.spec.template.spec as unknown as {
    terminationGracePeriodSeconds: number;
    containers: { lifecycle: { preStop: { exec: { command: string[] } } } }[];
  };
  const command = pod.containers[0]!.lifecycle.preStop.exec.command.at(-1)!;
  const deadline = Number(
    /^exec cabstand drain "\$POD_NAME" --wait --deadline (\d+)s /.exec(command)?.[1],
  );
  expect(pod.terminationGracePeriodSeconds).toBe(deadline + terminationGracePeriodSeconds);
});

test('every router is one that hosters and gateways know', () => {
  const [router, ...others] = sets;
  const names = Array.from(
    { length: router!.spec.replicas },
    (_, at) => `router-${at}.routers.x.svc:50050`,
  );
  for (const set of others) expect(podEnvironment(set, 'x').CABSTAND_ROUTERS).toBe(names.join(','));
  expect(podEnvironment(router!, 'x').CABSTAND_AUTH_AUDIENCES).toBe(names[0]);
});

test('network policies let through what services dial, and no more ports', () => {
  const dials: Record<string, string[]> = {
    router: ['hoster'],
    hoster: ['router'],
    gateway: ['router', 'hoster'],
  };
  const port = (name: string) =>
    portOf(configOf(sets.find((set) => set.metadata.name === name)!).listen);
  for (const [name, set] of named) {
    const [policy, ...more] = of('NetworkPolicy').filter(({ spec }) =>
      selects(spec.podSelector, labelsOf(set)),
    );
    expect(more).toEqual([]);
    const { listen, admin } = configOf(set);
    const ports = (policy!.spec.ingress ?? []).flatMap((rule) =>
      rule.ports!.map((each) => each.port),
    );
    expect(ports).toEqual([portOf(listen), portOf(admin.listen)]);
    const out = (policy!.spec.egress ?? []).flatMap((rule) => rule.ports!.map((each) => each.port));
    expect(out).toEqual([53, 53, ...dials[name]!.map(port)]);
    for (const [caller, callees] of Object.entries(dials)) {
      const from = sets.find((each) => each.metadata.name === caller)!;
      const [rule] = policy!.spec.ingress!;
      const open = rule!.from === undefined;
      const taken = (rule!.from ?? []).some(({ podSelector }) =>
        selects(podSelector!, labelsOf(from)),
      );
      expect([caller, name, open || taken]).toEqual([caller, name, open || callees.includes(name)]);
    }
  }
});

test('autoscalers look at the metric that the adapter makes, of hosters', () => {
  const [rule] = documents('monitoring/adapter-rule.yaml') as {
    rules: { name: { as: string } }[];
  }[];
  const [hpa] = documents('components/autoscale/hpa.yaml') as Manifest[];
  const [keda] = documents('monitoring/keda.yaml') as Manifest[];
  const target = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'hoster' };
  expect(hpa!.spec.scaleTargetRef).toEqual(target);
  expect(keda!.spec.scaleTargetRef).toEqual(target);
  expect(JSON.stringify(hpa!.spec.metrics)).toContain(`"name":"${rule!.rules[0]!.name.as}"`);
  const least = sets.find((set) => set.metadata.name === 'hoster')!.spec.replicas;
  expect([hpa!.spec.minReplicas, keda!.spec.minReplicaCount]).toEqual([least, least]);
});
