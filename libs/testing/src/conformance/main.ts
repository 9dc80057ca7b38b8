#!/usr/bin/env node
/**
 * Checks clients in any language: docs/conformance.md.
 *
 *   list                     names of the cases
 *   serve CASE               one case: says where it is, reads reports, says what was wrong
 *   run [CASE…] -- COMMAND   all cases, or those, with a program that is started once for each
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { conformanceCases } from './cases';
import type { ConformanceCase } from './cases';
import type { Report } from './judge';
import { ConformanceSubnet } from './subject';

/** Longest that a program may take over one case. */
const CASE_MS = 60_000;

async function reportsFrom(input: Readable): Promise<Report[]> {
  const reports: Report[] = [];
  for await (const line of createInterface({ input }))
    if (line.trim() !== '') reports.push(JSON.parse(line) as Report);
  return reports;
}

async function serve(one: ConformanceCase): Promise<number> {
  const subnet = await ConformanceSubnet.start(one);
  console.log(JSON.stringify(subnet.announcement));
  const problems = subnet.judge(await reportsFrom(process.stdin));
  console.log(JSON.stringify({ ok: problems.length === 0, problems }));
  await subnet.stop();
  return problems.length === 0 ? 0 : 1;
}

async function tried(one: ConformanceCase, command: string, args: string[]): Promise<string[]> {
  const subnet = await ConformanceSubnet.start(one);
  try {
    const env = { ...process.env, CABSTAND_CASE: JSON.stringify(subnet.announcement) };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), CASE_MS);
    const exited = new Promise<string[]>((resolve) => {
      child.once('error', (error) => resolve([`it could not be started: ${error.message}`]));
      child.once('close', (code, signal) =>
        resolve(code === 0 ? [] : [`it ended with ${code ?? signal ?? 'nothing'}`]),
      );
    });
    const reports = await reportsFrom(child.stdout);
    const problems = [...(await exited), ...subnet.judge(reports)];
    clearTimeout(timer);
    return problems;
  } finally {
    await subnet.stop();
  }
}

async function run(
  cases: readonly ConformanceCase[],
  [command, ...args]: string[],
): Promise<number> {
  if (command === undefined) return usage('run: no command behind --');
  let failed = 0;
  for (const one of cases) {
    const problems = await tried(one, command, args);
    if (problems.length > 0) failed++;
    console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${one.name}: ${one.about}`);
    for (const problem of problems) console.log(`     ${problem}`);
  }
  console.log(`${cases.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function usage(problem: string): number {
  console.error(`${problem}\nusage: list | serve CASE | run [CASE…] -- COMMAND [ARGUMENT…]`);
  return 2;
}

async function main([verb, ...rest]: string[]): Promise<number> {
  const all = conformanceCases();
  const split = rest.indexOf('--');
  const names = split < 0 ? rest : rest.slice(0, split);
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined)
    return usage(`case: got ${unknown}, expected one of ${all.map(({ name }) => name).join(', ')}`);
  const chosen = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  const [first] = chosen;
  if (verb === 'list') {
    for (const { name, about } of chosen) console.log(`${name}: ${about}`);
    return 0;
  }
  if (verb === 'serve' && names.length === 1 && first !== undefined) return await serve(first);
  if (verb === 'run' && split >= 0) return await run(chosen, rest.slice(split + 1));
  return usage(`got ${[verb ?? 'nothing', ...rest].join(' ')}`);
}

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
