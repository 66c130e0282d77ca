/** `alluxio standalone` as a user starts it, with one mount, on free ports and in a directory of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock } from '@alluxio-ts/common/clock';
import { cleanEnvironment } from '../test/support/environment.ts';

const alluxio = new URL('../packages/cli/bin/alluxio.js', import.meta.url).pathname;

export interface StandaloneProcessOptions {
  /** Removed at the end. */
  readonly workDir: string;
  /** `name=value`. */
  readonly definitions: readonly string[];
  readonly mount: {
    readonly path: string;
    readonly ufsUri: string;
    readonly options: Readonly<Record<string, string>>;
  };
}

export interface StandaloneProcess {
  readonly pid: number;
  /** The S3 API. */
  readonly s3: string;
  /** Where the metrics are. */
  readonly web: string;
  readonly client: CoordinatorClient;
  stop(): Promise<void>;
}

export async function startStandaloneProcess(options: StandaloneProcessOptions): Promise<StandaloneProcess> {
  const { definitions, mount, workDir } = options;
  const ports = ['coordinator.web.port', 'worker.rest.port', 'worker.http.server.port', 'worker.web.port'];
  const given = [`alluxio.work.dir=${workDir}`, ...ports.map((port) => `alluxio.${port}=0`), ...definitions];
  const child = spawn(process.execPath, [alluxio, 'standalone', ...given.map((each) => `-D${each}`)], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: cleanEnvironment(),
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  while (!output.includes('Ctrl-C')) {
    if (child.exitCode !== null) throw new Error(output);
    await systemClock.sleep(50);
  }
  const coordinator = new URL(/Coordinator +(\S+)/.exec(output)?.[1] ?? '');
  const s3 = /S3 API +(\S+)/.exec(output)?.[1] ?? '';
  const web = new URL(/Metrics +(\S+)/.exec(output)?.[1] ?? '').origin;
  const tokenFile = /Admin token +(\S+)/.exec(output)?.[1] ?? '';
  const client = new CoordinatorClient({
    host: coordinator.hostname,
    port: Number(coordinator.port),
    token: readFileSync(tokenFile, 'utf8').trim(),
  });
  await client.addMount(mount);
  return {
    pid: child.pid ?? 0,
    s3,
    web,
    client,
    stop: async () => {
      await client.close();
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      rmSync(workDir, { recursive: true });
    },
  };
}
