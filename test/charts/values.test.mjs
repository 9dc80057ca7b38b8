// What the chart makes of values: that services take the configuration, that the objects are valid, and which values
// it refuses.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { chart, lint, overlay, template } from './render.mjs';

const { serviceConfig } = createRequire(import.meta.url)('../dist/support/service-config.js');

const everything = {
  image: { repository: 'registry.example.org/cabstand', digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'registry' }],
  router: { replicas: 3, nodeSelector: { pool: 'small' }, podAnnotations: { a: 'b' } },
  hoster: {
    config: { shutdown_seconds: 300, limits: { max_sessions: 50 } },
    terminationGracePeriodSeconds: 640,
    drain: { enabled: true, deadlineSeconds: 60 },
    gpu: { enabled: true, count: 2, runtimeClassName: 'nvidia', tag: '0.1.0-gpu' },
    models: { claim: 'models' },
    autoscaling: { type: 'keda', maxReplicas: 20 },
    tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
    extraEnv: [{ name: 'CABSTAND_LOG_LEVEL', value: 'debug' }],
  },
  gateway: {
    service: {
      type: 'LoadBalancer',
      annotations: { a: 'b' },
      loadBalancerSourceRanges: ['10.0.0.0/8'],
    },
    http: { enabled: true, corsOrigins: ['https://app.example.org'] },
  },
  podMonitor: { enabled: true, labels: { release: 'prometheus' } },
  prometheusRule: { enabled: true },
  dashboard: { enabled: true },
};

const sets = {
  defaults: {},
  'no keys': {
    auth: { mode: 'none' },
    hoster: { drain: { enabled: true } },
    podMonitor: { enabled: true },
  },
  'gateways of one key': { gateway: { kind: 'Deployment' }, podMonitor: { enabled: true } },
  'without policies and budgets': {
    networkPolicy: { enabled: false },
    podDisruptionBudget: { enabled: false },
    hoster: { autoscaling: { type: 'hpa' } },
  },
  everything,
};

const PODS = [
  'StatefulSet router',
  'StatefulSet hoster',
  'StatefulSet gateway',
  'Deployment gateway',
];
const containersOf = (objects) =>
  PODS.flatMap((key) => objects.get(key)?.spec.template.spec.containers ?? []);

/** What kubeconform says of these manifests, by the schemas of Kubernetes and of those operators. */
function conformance(manifests) {
  const schemas = path.join(process.env.SCHEMAS, '{{.ResourceKind}}{{.KindSuffix}}.json');
  const args = ['-strict', '-summary', '-schema-location', schemas];
  const said = spawnSync('kubeconform', args, { input: manifests, encoding: 'utf8' });
  if (said.error !== undefined) throw said.error;
  return said;
}

for (const [name, values] of Object.entries(sets)) {
  test(`${name}: Helm finds nothing to say, and the objects are valid`, () => {
    const { status, stdout, stderr } = lint(values);
    assert.equal(status, 0, stdout + stderr);
    const said = conformance(template(values));
    assert.match(said.stdout, /Invalid: 0, Errors: 0, Skipped: 0/, said.stdout + said.stderr);
  });

  test(`${name}: services take their configuration and variables`, () => {
    const objects = chart(values);
    const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-chart-'));
    try {
      for (const { args, env, volumeMounts } of containersOf(objects)) {
        const [service, , file] = args;
        const at = path.join(folder, `${service}.yaml`);
        writeFileSync(at, objects.get('ConfigMap cabstand').data[path.basename(file)]);
        const variables = { POD_NAME: `${service}-0`, POD_NAMESPACE: 'cabstand' };
        for (const each of env)
          if (each.value !== undefined)
            variables[each.name] = each.value.replaceAll(/\$\((\w+)\)/g, (_, of) => {
              // Kubernetes leaves what is not there yet as it is.
              assert.ok(of in variables, `${each.name} comes before ${of}`);
              return variables[of];
            });
        serviceConfig(service, ['--config', at], variables);
        // Without keys nothing of them is mounted.
        const keys = volumeMounts.filter(({ mountPath }) => mountPath.startsWith('/keys/'));
        assert.equal(keys.length > 0, values.auth?.mode !== 'none');
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test('the schemas refuse what Kubernetes would refuse', () => {
  const bad = template().replaceAll(
    'terminationGracePeriodSeconds:',
    'terminationGracePeriodSecond:',
  );
  assert.match(conformance(bad).stdout, /terminationGracePeriodSecond/);
});

test('what kustomize makes is valid', () => {
  const objects = [...overlay('overlays/example').values()].map((each) => JSON.stringify(each));
  const said = conformance(objects.join('\n---\n'));
  assert.match(said.stdout, /Invalid: 0, Errors: 0, Skipped: 0/, said.stdout + said.stderr);
});

test('without TLS the health of gRPC is asked whether a pod is ready, and the admin port whether it lives', () => {
  for (const container of containersOf(chart({ auth: { mode: 'none' } }))) {
    const { port } = container.readinessProbe.grpc;
    assert.equal(port, container.ports.find(({ name }) => name === 'grpc').containerPort);
    assert.deepEqual(container.livenessProbe.httpGet, {
      path: '/healthz',
      port: 'admin',
      scheme: 'HTTP',
    });
  }
});

test('gateways of a Deployment mount the one key that all have', () => {
  const [gateway] = containersOf(chart({ gateway: { kind: 'Deployment' } })).slice(-1);
  const own = gateway.volumeMounts.filter(({ name }) => name === 'keys');
  assert.deepEqual(
    own.map(({ subPathExpr }) => subPathExpr),
    ['gateway.key.json', 'gateway.crt', 'gateway.key'],
  );
});

test('a third router is dialled by hosters and gateways', () => {
  const of = (container) => container.env.find(({ name }) => name === 'CABSTAND_ROUTERS')?.value;
  const [, ...others] = containersOf(chart({ router: { replicas: 3 } }));
  for (const each of others)
    assert.match(of(each), /router-2\.routers\.\$\(POD_NAMESPACE\)\.svc:50050$/);
});

test('a hoster with a GPU asks for it, and runs the image that has its libraries', () => {
  const hoster = chart(everything).get('StatefulSet hoster').spec.template.spec;
  assert.equal(hoster.containers[0].image, 'registry.example.org/cabstand:0.1.0-gpu');
  assert.deepEqual(hoster.containers[0].resources.limits, { memory: '3Gi', 'nvidia.com/gpu': 2 });
  assert.equal(hoster.runtimeClassName, 'nvidia');
  // The deadline of the drain comes on top.
  assert.equal(hoster.terminationGracePeriodSeconds, 700);
});

test('a change of the configuration of a service starts its pods again, and no others', () => {
  const hashes = (values) =>
    PODS.slice(0, 3).map(
      (key) => chart(values).get(key).spec.template.metadata.annotations['cabstand/config'],
    );
  const [router, hoster, gateway] = hashes({});
  const [sameRouter, otherHoster, sameGateway] = hashes({
    hoster: { config: { log: { level: 'debug' } } },
  });
  assert.deepEqual([sameRouter, sameGateway], [router, gateway]);
  assert.notEqual(otherHoster, hoster);
});

const refused = [
  ['hoster.replicas', { hoster: { replicas: 0 } }],
  ['hoster.autoscaling.type', { hoster: { autoscaling: { type: 'vpa' } } }],
  ['hoster.autoscaling.targetPercent', { hoster: { autoscaling: { targetPercent: 170 } } }],
  ['hoster.gpu.count', { hoster: { gpu: { count: '1' } } }],
  ['auth.mode', { auth: { mode: 'off' } }],
  ['gateway.kind', { gateway: { kind: 'DaemonSet' } }],
  ['gateway.audiences.0', { gateway: { audiences: ['gateway.example.org'] } }],
  ['image.digest', { image: { digest: 'sha256:12' } }],
  ['secrets.seal', { secrets: { seal: 'Not A Name' } }],
  ['replica', { hoster: { replica: 3 } }],
];
for (const [field, values] of refused)
  test(`${JSON.stringify(values)} is refused, by its name`, () => {
    assert.throws(
      () => template(values),
      ({ message }) => message.includes(field) || message.includes(field.replaceAll('.', '/')),
    );
  });

test('a grace that ends before turns may is refused', () => {
  for (const values of [
    { hoster: { terminationGracePeriodSeconds: 60 } },
    { gateway: { config: { shutdown_seconds: 200 } } },
  ])
    assert.throws(() => template(values), /terminationGracePeriodSeconds.*shutdown_seconds/);
});
