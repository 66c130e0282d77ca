/**
 * Runs the tests and closes with `N passed, N failed`. On a terminal tap draws its own report; elsewhere there is a line a file, and the whole story of what
 * failed. Arguments go to tap: `npm test -- packages/common/test/options.test.ts`.
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';

const isTerminal = process.stdout.isTTY && process.env['CI'] === undefined;
const reporter = isTerminal ? [] : ['--reporter=tap'];
const tap = spawn('tap', [...reporter, ...process.argv.slice(2)], {
  stdio: ['inherit', isTerminal ? 'inherit' : 'pipe', 'inherit'],
});

/** What went well, in TAP: an assertion, a plan, the name of a file or a test. */
const quiet = /^\s+ok |^\s*1\.\.|^\s*# Subtest|^\s*$|^TAP version|^\s+# time=|^# No coverage/;
let totals: RegExpMatchArray | undefined;
if (tap.stdout) {
  for await (const line of createInterface({ input: tap.stdout })) {
    const text = stripVTControlCharacters(line);
    totals = /^# \{ (total: .*) \}$/.exec(text) ?? totals;
    if (!quiet.test(text)) console.log(text);
  }
}
const code = await new Promise<number>((resolve) => {
  if (tap.exitCode !== null) resolve(tap.exitCode);
  else tap.on('exit', (exitCode) => resolve(exitCode ?? 1));
});
if (!isTerminal) {
  const count = (name: string): number =>
    Number(new RegExp(`${name}: (\\d+)`).exec(totals?.[1] ?? '')?.[1] ?? 0);
  const failed = count('fail') + count('skip') + count('todo');
  console.log(`${count('pass')} passed, ${failed === 0 && code !== 0 ? 1 : failed} failed`);
  // A run without a test proves nothing.
  if (count('pass') === 0 || failed > 0) process.exitCode = 1;
}
process.exitCode ||= code;
