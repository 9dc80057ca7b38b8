/** Manifests in deploy/kubernetes as the tests need them: what is looked at, and nothing else. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { parseAllDocuments } from 'yaml';

export type Labels = Readonly<Record<string, string>>;

interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly values: readonly string[];
  }[];
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: string };
  readonly timeoutSeconds: number;
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly resources: { readonly limits: Labels; readonly requests: Labels };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPathExpr?: string;
    readonly readOnly?: boolean;
  }[];
}

export interface Volume {
  readonly name: string;
  readonly emptyDir?: object;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
}

interface PolicyRule {
  readonly ports?: readonly { readonly port: number; readonly protocol?: string }[];
  readonly from?: readonly { readonly podSelector?: Selector }[];
  readonly to?: readonly { readonly podSelector?: Selector }[];
}

/** Of any kind: the parts that the kinds in the base have. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly serviceName: string;
    readonly replicas: number;
    readonly clusterIP?: string;
    readonly selector: Labels & Selector;
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
    readonly podSelector: Selector;
    readonly ingress?: readonly PolicyRule[];
    readonly egress?: readonly PolicyRule[];
    readonly [more: string]: unknown;
  };
}

export const KUBERNETES = path.join(REPOSITORY_ROOT, 'deploy/kubernetes');

/** Paths of all YAML files there, relative to it. */
export function yamlFiles(): string[] {
  const files = readdirSync(KUBERNETES, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.yaml')).sort();
}

/** The documents of a file, as Kubernetes reads them. Throws for what is no YAML. */
export function documents(...file: string[]): unknown[] {
  const text = readFileSync(path.join(KUBERNETES, ...file), 'utf8');
  return parseAllDocuments(text, { version: '1.1' }).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as unknown;
  });
}

/** Manifests of the base, as they are written. */
export function baseManifests(): Manifest[] {
  const [kustomization] = documents('base/kustomization.yaml') as { resources: string[] }[];
  return kustomization!.resources.flatMap((file) => documents('base', file) as Manifest[]);
}

/** Whether a selector takes pods with these labels. */
export function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Labels,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}

/** Variables of the first pod, with `$(NAME)` replaced as Kubernetes does. */
export function podEnvironment(set: Manifest, namespace = 'cabstand'): Record<string, string> {
  const variables: Record<string, string> = {
    POD_NAME: `${set.metadata.name}-0`,
    POD_NAMESPACE: namespace,
  };
  for (const { name, value } of set.spec.template.spec.containers[0]!.env)
    if (value !== undefined)
      variables[name] = value.replaceAll(
        /\$\((\w+)\)/g,
        (_, other: string) => variables[other] ?? `$(${other})`,
      );
  return variables;
}
