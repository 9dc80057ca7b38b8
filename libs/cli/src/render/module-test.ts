import type { Finding, ModuleTestReport } from '@cabstand/engine';
import { printable } from './style';
import type { Style } from './style';
import { duration } from './units';

/** Columns of the name of a check. */
const WIDTH = 11;

/** A module's test for people: a line for each check, and what to do where something is wrong. */
export function moduleTestText(report: ModuleTestReport, style: Style): string {
  const { name, version, survival, findings, ok, seconds } = report;
  const failures = findings.filter(({ outcome }) => outcome === 'failed').length;
  const verdict = ok
    ? style.green('keeps its promises')
    : style.red(`${failures} ${failures === 1 ? 'thing is' : 'things are'} wrong`);
  return [
    `${style.bold(printable(name))} v${version}, survival: ${survival}\n`,
    ...findings.map((finding) => findingText(finding, style)),
    `${verdict} ${style.dim(`(${duration(seconds * 1000)})`)}\n`,
  ].join('');
}

function findingText({ check, outcome, summary, advice }: Finding, style: Style): string {
  const sign = {
    passed: style.green('ok  '),
    open: style.yellow('open'),
    failed: style.red('FAIL'),
  }[outcome];
  const indent = ' '.repeat(8 + WIDTH);
  const lines = summary.split('\n').map(printable).join(`\n${indent}`);
  const told = advice === undefined ? '' : `${indent}${style.dim(printable(advice))}\n`;
  return `  ${sign}  ${check.padEnd(WIDTH)}${lines}\n${told}`;
}
