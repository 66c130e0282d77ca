/** Fuzzes what reads foreign bytes in the native transport: every target of packages/transport/hotpath/fuzz, one after the other. Needs cargo-fuzz. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findOnPath, missingProgram } from '../support/programs.ts';

const crateDir = new URL('../../packages/transport/hotpath/', import.meta.url).pathname;
const targets = ['request_head', 'chunked_body', 'peer_answer'] as const;

/** The longest head is 16 KiB. */
const inputMaxBytes = 20_000;

/** `minutes` are for all targets together. Fails with the end of what a target wrote that found something; the input lies in fuzz/artifacts. */
export async function fuzzHotpath(options: {
  readonly minutes: number;
  readonly report: (line: string) => void;
}): Promise<string> {
  if (!(await findOnPath('cargo-fuzz'))) throw missingProgram('cargo-fuzz (cargo install cargo-fuzz)', []);
  const figures: string[] = [];
  for (const target of targets) {
    const said = await fuzz(target, Math.max(1, Math.round((60 * options.minutes) / targets.length)));
    figures.push(`${target}: ${said}`);
    options.report(`${target}: ${said}`);
  }
  return figures.join('\n          ');
}

async function fuzz(target: string, seconds: number): Promise<string> {
  const corpus = `fuzz/corpus/${target}`;
  mkdirSync(`${crateDir}${corpus}`, { recursive: true });
  const limits = [`-max_total_time=${seconds}`, `-max_len=${inputMaxBytes}`, '-print_final_stats=1'];
  const child = spawn(
    'cargo',
    ['fuzz', 'run', target, corpus, `fuzz/seeds/${target}`, '--', ...limits],
    // Stable has the sanitizers that cargo fuzz asks nightly for.
    { cwd: crateDir, env: { ...process.env, RUSTC_BOOTSTRAP: '1' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const last: string[] = [];
  let coveredEdges = 'unknown';
  for await (const line of createInterface({ input: child.stderr })) {
    coveredEdges = / cov: (\d+) /.exec(line)?.[1] ?? coveredEdges;
    last.splice(0, last.push(line) - 60);
  }
  const [code] =
    child.exitCode === null ? ((await once(child, 'exit')) as [number | null]) : [child.exitCode];
  const text = last.join('\n');
  if (code !== 0) throw new Error(`${target} ended with ${code}:\n${text}`);
  const count = Number(/stat::number_of_executed_units:\s+(\d+)/.exec(text)?.[1] ?? 0);
  if (count === 0) throw new Error(`${target} ran nothing:\n${text}`);
  return `${count} inputs in ${seconds} s, ${coveredEdges} edges covered, nothing found`;
}
