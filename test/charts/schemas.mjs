// Writes the schemas that kubeconform reads, one for each kind, into a folder:
//
//   node schemas.mjs FOLDER swagger.json CRD.yaml …
//
// From the OpenAPI description of Kubernetes, and definitions of custom resources. Keys that they do not name are
// refused, as the API server refuses them for who asks for strict validation.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const { parseAllDocuments } = createRequire(import.meta.url)('yaml');

const [folder, swagger, ...definitions] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

/** The name that kubeconform looks for. */
function write(schema, kind, version, group) {
  const parts = [kind, group.split('.')[0], version].filter((part) => part !== '');
  writeFileSync(path.join(folder, `${parts.join('-').toLowerCase()}.json`), JSON.stringify(schema));
}

/** Refuses other keys, here and below. */
function strict(schema) {
  if (Array.isArray(schema)) return schema.map(strict);
  if (schema === null || typeof schema !== 'object') return schema;
  const open =
    schema.properties === undefined ||
    schema.additionalProperties !== undefined ||
    schema['x-kubernetes-preserve-unknown-fields'] === true;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, each]) => [key, strict(each)]));
  if (schema['x-kubernetes-int-or-string'] === true) copy.type = ['integer', 'string'];
  // Formats of Kubernetes' own, such as int-or-string, are none of JSON Schema.
  delete copy.format;
  return open ? copy : { ...copy, additionalProperties: false };
}

const kubernetes = strict(JSON.parse(readFileSync(swagger, 'utf8')).definitions);
kubernetes['io.k8s.apimachinery.pkg.util.intstr.IntOrString'] = { type: ['integer', 'string'] };
kubernetes['io.k8s.apimachinery.pkg.api.resource.Quantity'] = { type: ['number', 'string'] };

/** What a schema refers to, and what that refers to. */
function referred(schema, found = {}) {
  for (const [, name] of JSON.stringify(schema).matchAll(/"#\/definitions\/([^"]+)"/g))
    if (found[name] === undefined) {
      found[name] = kubernetes[name];
      referred(found[name], found);
    }
  return found;
}

for (const schema of Object.values(kubernetes)) {
  const kinds = schema['x-kubernetes-group-version-kind'] ?? [];
  // Several: what all groups have, such as DeleteOptions.
  if (kinds.length !== 1) continue;
  const [{ kind, version, group }] = kinds;
  write({ ...schema, definitions: referred(schema) }, kind, version, group);
}

for (const file of definitions)
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const { names, group, versions } = document.toJS().spec;
    for (const { name, schema } of versions) {
      const read = strict(schema.openAPIV3Schema);
      // Any that an object may have.
      read.properties.metadata = { type: 'object' };
      write(read, names.kind, name, group);
    }
  }
