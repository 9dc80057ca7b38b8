import type { Finding } from '../doctor/finding';
import { printable } from './style';
import type { Style } from './style';

const INDENT = ' '.repeat(6);

/** What a check found, and what to do about it. */
export function findingText({ status, name, message, advice }: Finding, style: Style): string {
  const mark = { ok: style.green('ok  '), warn: style.yellow('warn'), fail: style.red('FAIL') }[
    status
  ];
  const hint =
    advice === undefined
      ? ''
      : `${INDENT}${style.dim(`→ ${lines(advice.replaceAll(/\n +/g, '\n'), `${INDENT}  `)}`)}\n`;
  return `${mark}  ${style.bold(printable(name))}: ${lines(message, INDENT)}\n${hint}`;
}

function lines(text: string, indent: string): string {
  return text.split('\n').map(printable).join(`\n${indent}`);
}
