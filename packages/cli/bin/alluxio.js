#!/usr/bin/env node
/**
 * The command `alluxio`. The program needs Node 24 or newer; where this script is run by an older one, it starts itself again under the
 * Node that was installed with it as an npm package. Plain JavaScript without newer syntax, so that Node 18 can read it.
 */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const nodeMajorMin = 24;

if (majorOf(process.versions.node) >= nodeMajorMin) {
  // Node gives files and name lookups four threads in all, so that four reads of a hanging disk would stop every other. Read before the first use.
  process.env.UV_THREADPOOL_SIZE ??= '64';
  const { runProcess } = await import('../src/main.ts');
  await runProcess(process);
} else {
  const node = findCarriedNode();
  if (node === undefined) {
    process.stderr.write(
      `alluxio: this needs Node ${nodeMajorMin} or newer, and it is ${process.versions.node}; run "npm ci" to install the one it carries, or put a newer node first in PATH\n`,
    );
    process.exitCode = 1;
  } else {
    runUnder(node);
  }
}

function majorOf(version) {
  return Number.parseInt(version, 10);
}

/** The packages that hold the binary of Node for this platform, by their names in the registry. */
function findCarriedNode() {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`;
  for (const name of [`node-${platform}`, `node-bin-${platform}`]) {
    try {
      const manifestFile = require.resolve(`${name}/package.json`);
      const binary = join(dirname(manifestFile), 'bin', 'node');
      const { version } = JSON.parse(readFileSync(manifestFile, 'utf8'));
      // An older one would come to this place again, without end.
      if (majorOf(version) >= nodeMajorMin && existsSync(binary)) return binary;
    } catch {
      // Not installed: the next name may be.
    }
  }
  return undefined;
}

function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR2'];
  // A terminal sends these two to the whole group itself, and a second one would be taken as "at once".
  const fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT'] : [];
  for (const signal of signals) {
    process.on(signal, () => {
      if (!fromTerminal.includes(signal)) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    process.stderr.write(`alluxio: ${node} cannot be started (${error.message}); run "npm ci" again\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeAllListeners(name);
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}
