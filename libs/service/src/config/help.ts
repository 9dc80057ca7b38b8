import type { Field } from './fields';

/** Text of --help: every setting with its flag, variable, key, type, default and meaning. */
export function helpText(name: string, summary: string, fields: readonly Field[]): string {
  const blocks = fields.map((field) => {
    const flag =
      field.kind === 'boolean' ? `--[no-]${field.flag}` : `--${field.flag} <${field.type}>`;
    const facts = [field.env, `key ${field.key}`, defaultOf(field)].join(', ');
    const lines = [`  ${flag}`];
    if (field.description !== '') lines.push(`      ${field.description}`);
    lines.push(`      ${facts}`);
    return lines.join('\n');
  });
  return [
    `Usage: ${name} [--config <file>] [settings]`,
    '',
    summary,
    '',
    'Settings come from one YAML file, overridden by environment variables, overridden by flags.',
    '',
    '  --config <file>',
    '      The YAML file. CABSTAND_CONFIG',
    '  --print-config',
    '      Print the configuration as it would be used, secrets redacted, and leave.',
    '  -h, --help',
    '      This text.',
    '',
    'Settings',
    ...blocks,
    '',
  ].join('\n');
}

function defaultOf(field: Field): string {
  if (field.required) return 'required';
  if (field.default === undefined) return 'not set by default';
  if (Array.isArray(field.default) && field.default.length === 0) return 'default: none';
  if (Array.isArray(field.default)) return `default: ${field.default.join(',')}`;
  if (typeof field.default === 'string') return `default: ${field.default}`;
  return `default: ${JSON.stringify(field.default)}`;
}
