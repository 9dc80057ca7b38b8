// What Helm makes of the chart, and kustomize of deploy/kubernetes, as objects.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const { parseAllDocuments, stringify } = createRequire(import.meta.url)('yaml');

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const CHART = path.join(root, 'deploy/helm/cabstand');
const KUBERNETES = path.join(root, 'deploy/kubernetes');

/** Objects by kind and name. Throws for two of one name, and for what is no YAML. */
function objects(text) {
  const found = new Map();
  // As Kubernetes reads them: 0440 is octal.
  for (const document of parseAllDocuments(text, { version: '1.1' })) {
    if (document.errors.length > 0) throw document.errors[0];
    const object = document.toJS();
    if (object === null) continue;
    const key = `${object.kind} ${object.metadata.name}`;
    if (found.has(key)) throw new Error(`twice: ${key}`);
    found.set(key, object);
  }
  return found;
}

/** Runs helm with the chart and these values. Returns `status`, `stdout` and `stderr`. */
function helm(command, values) {
  // One that `go install` made knows of no version of Kubernetes that is in use.
  const version = process.env.KUBE_VERSION;
  const args = [...command, '--kube-version', version, '--namespace', 'cabstand', '--values', '-'];
  return spawnSync('helm', args, {
    input: stringify(values),
    encoding: 'utf8',
    env: { ...process.env, HELM_CACHE_HOME: tmpdir(), HELM_CONFIG_HOME: tmpdir() },
  });
}

export const lint = (values) => helm(['lint', '--strict', CHART], values);

/** The manifests as text. Throws what Helm says where it refuses the values. */
export function template(values = {}) {
  const { status, stdout, stderr, error } = helm(['template', 'taxis', CHART], values);
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

export const chart = (values) => objects(template(values));

/** The base, and these components, as `kubectl apply -k` would send them. */
export function kustomized(...components) {
  // A kustomization names others by relative paths only.
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-kustomize-'));
  const at = (name) => path.relative(folder, path.join(KUBERNETES, name));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [at('base')],
    components: components.map((name) => at(`components/${name}`)),
  };
  try {
    writeFileSync(path.join(folder, 'kustomization.yaml'), stringify(kustomization));
    return overlay(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder of its own, as `kubectl apply -k` would send it. */
export function overlay(folder) {
  const [program, ...args] = (process.env.KUSTOMIZE ?? 'kubectl kustomize').split(' ');
  const text = execFileSync(program, [...args, path.resolve(KUBERNETES, folder)], {
    encoding: 'utf8',
  });
  return objects(text);
}

/** The documents of a file of deploy/kubernetes that is no part of a kustomization. */
export function documents(text) {
  return parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS());
}
