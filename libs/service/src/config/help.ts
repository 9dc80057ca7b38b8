import type { Field } from './fields';

/** What a service says of itself in its --help. */
export interface HelpProgram {
  /** `cabstand hoster`, for messages, too. */
  readonly name: string;
  readonly summary: string;
  /** Keys of the settings that most people set, shown first. Default: none. */
  readonly common?: readonly string[];
  /** A command to start from. */
  readonly example?: string;
}

const WIDTH = 96;
const INDENT = '      ';

/** Text of --help: usage, common settings, then each section's with type, default and meaning, and an example. */
export function helpText(program: HelpProgram, fields: readonly Field[]): string {
  const common = (program.common ?? []).flatMap((key) => fields.filter((one) => one.key === key));
  const rest = fields.filter((field) => !common.includes(field));
  const alone = rest.filter(({ section }) => section === undefined);
  const sections = new Set(rest.map(({ section }) => section?.name));
  const blocks = [...sections].flatMap((name) => {
    if (name === undefined) return [];
    const own = rest.filter(({ section }) => section?.name === name);
    const about = own[0]?.section?.description ?? '';
    return [block(about === '' ? `Settings of ${name}` : `Settings of ${name}: ${about}`, own)];
  });
  return [
    `Usage: ${program.name} [--config <path>] [settings]`,
    '',
    program.summary,
    '',
    ...wrap(
      'Settings come from one YAML file, overridden by environment variables, overridden by flags. The key limits.max_sessions of the file is the flag --limits-max-sessions and the variable CABSTAND_LIMITS_MAX_SESSIONS. Lists may be text with commas. Relative paths in the file are relative to the file, others to the working directory.',
      '',
    ),
    '',
    '  --config <path>',
    `${INDENT}The YAML file. CABSTAND_CONFIG`,
    '  --print-config',
    `${INDENT}Print the configuration as it would be used, secrets redacted, and leave.`,
    '  -h, --help',
    `${INDENT}This text.`,
    ...(common.length === 0 ? [] : [block('Common settings', common)]),
    ...blocks,
    ...(alone.length === 0 ? [] : [block('Other settings', alone)]),
    ...(program.example === undefined ? [] : ['', 'Example:', `  $ ${program.example}`]),
    '',
  ].join('\n');
}

function block(title: string, fields: readonly Field[]): string {
  return ['', ...wrap(title, ''), '', ...fields.map(setting)].join('\n');
}

function setting(field: Field): string {
  const flag =
    field.kind === 'boolean' ? `--[no-]${field.flag}` : `--${field.flag} <${field.type}>`;
  return [
    `  ${flag}`,
    ...(field.description === '' ? [] : wrap(field.description, INDENT)),
    `${INDENT}${field.key}, ${defaultOf(field)}`,
  ].join('\n');
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, indent + line];
}

function defaultOf(field: Field): string {
  if (field.required) return 'required';
  if (field.default === undefined) return 'not set by default';
  if (Array.isArray(field.default) && field.default.length === 0) return 'default: none';
  if (Array.isArray(field.default)) return `default: ${field.default.join(',')}`;
  if (typeof field.default === 'string') return `default: ${field.default}`;
  return `default: ${JSON.stringify(field.default)}`;
}
