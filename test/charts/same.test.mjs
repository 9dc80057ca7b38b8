// The chart and deploy/kubernetes say the same, but for the differences that are named here.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { chart, documents, kustomized, overlay, root } from './render.mjs';

/** Labels that Helm's tools look for, on what a release owns; pods have none of them. */
const OF_HELM = [
  'app.kubernetes.io/instance',
  'app.kubernetes.io/version',
  'app.kubernetes.io/managed-by',
  'helm.sh/chart',
];

const by = (key) => (a, b) => a[key].localeCompare(b[key]);

/** Without what differs by intention, on both sides. */
function comparable(object) {
  const copy = JSON.parse(JSON.stringify(object));
  const { metadata, spec, data } = copy;
  for (const label of OF_HELM) delete metadata.labels?.[label];
  // Helm knows the namespace of a release, and writes it nowhere.
  delete metadata.namespace;
  if (copy.kind === 'ConfigMap') {
    // Kustomize puts a hash into the name, the chart one into an annotation: pods start again after a change.
    metadata.name = 'cabstand';
    copy.data = Object.fromEntries(
      Object.entries(data).map(([file, text]) => [file, documents(text)[0]]),
    );
  }
  if (spec?.template !== undefined) {
    const { annotations } = spec.template.metadata;
    delete annotations?.['cabstand/config'];
    if (annotations !== undefined && Object.keys(annotations).length === 0)
      delete spec.template.metadata.annotations;
    for (const container of spec.template.spec.containers) {
      // The base names no tag: overlays do.
      container.image = container.image.replace(/^cabstand:0\.1\.0$/, 'cabstand');
      // The default of a tag that is not `latest`.
      if (container.imagePullPolicy === 'IfNotPresent') delete container.imagePullPolicy;
      // Patches of kustomize come first. That variables come after those that they name is looked at elsewhere.
      container.env.sort(by('name'));
      container.volumeMounts.sort(by('mountPath'));
    }
    spec.template.spec.volumes.sort(by('name'));
    for (const { configMap } of spec.template.spec.volumes)
      if (configMap !== undefined) configMap.name = configMap.name.replace(/-[a-z0-9]{10}$/, '');
  }
  return copy;
}

const comparables = (objects) =>
  new Map(
    [...objects.values()]
      .map(comparable)
      .map((each) => [`${each.kind} ${each.metadata.name}`, each]),
  );

function assertSame(ofChart, ofKustomize, only = () => true) {
  const [mine, theirs] = [ofChart, ofKustomize].map(comparables);
  const keys = (objects) => [...objects.keys()].filter(only).sort();
  assert.deepEqual(keys(mine), keys(theirs));
  for (const key of keys(mine)) assert.deepEqual(mine.get(key), theirs.get(key), key);
}

test('the defaults are the base', () => assertSame(chart(), kustomized()));

test('hoster.autoscaling.type hpa is the component autoscale', () =>
  assertSame(chart({ hoster: { autoscaling: { type: 'hpa' } } }), kustomized('autoscale')));

test('hoster.drain is the component drain', () =>
  assertSame(chart({ hoster: { drain: { enabled: true } } }), kustomized('drain')));

test('the example overlay is these values', () => {
  const values = {
    image: { repository: 'registry.example.org/cabstand', tag: '0.1.0' },
    hoster: { models: { claim: 'models' }, autoscaling: { type: 'hpa' } },
    gateway: {
      service: { type: 'LoadBalancer' },
      audiences: ['gateway.example.org:50060'],
    },
  };
  // A namespace is made by `helm install --create-namespace`, without labels.
  assertSame(chart(values), overlay('overlays/example'), (key) => !key.startsWith('Namespace '));
});

const file = (name) =>
  documents(readFileSync(path.join(root, 'deploy/kubernetes/monitoring', name), 'utf8'))[0];

test('hoster.autoscaling.type keda is monitoring/keda.yaml', () => {
  const object = chart({ hoster: { autoscaling: { type: 'keda' } } }).get('ScaledObject hoster');
  assert.deepEqual(object.spec, file('keda.yaml').spec);
});

test('the PodMonitor dials pods by the names of monitoring/scrape.yaml, and gives their series the same labels', () => {
  const { spec } = chart({ podMonitor: { enabled: true } }).get('PodMonitor cabstand');
  const [endpoint] = spec.podMetricsEndpoints;
  const snake = (key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const rules = endpoint.relabelings.map((rule) =>
    Object.fromEntries(Object.entries(rule).map(([key, value]) => [snake(key), value])),
  );
  // The operator keeps the pods and the port that are asked for by itself.
  const [, ...theirs] = file('scrape.yaml').scrape_configs[0].relabel_configs;
  assert.deepEqual(rules.slice(0, theirs.length), theirs);
  assert.equal(endpoint.port, 'admin');
});

test('rules, dashboard and configuration are the files of deploy, not copies', () => {
  const objects = chart({ prometheusRule: { enabled: true }, dashboard: { enabled: true } });
  const text = (name) => readFileSync(path.join(root, 'deploy', name), 'utf8');
  assert.deepEqual(
    objects.get('PrometheusRule cabstand').spec,
    documents(text('prometheus/alerts.yml'))[0],
  );
  assert.equal(
    objects.get('ConfigMap cabstand-dashboard').data['cabstand.json'],
    text('grafana/dashboards/cabstand.json'),
  );
});
