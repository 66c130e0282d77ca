/** A whole standalone process' worth of alluxio-ts within the test, on free ports and a directory of its own. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { type ProcessLogger, silentLogger } from '@alluxio-ts/common/logger';
import { loadOptions } from '@alluxio-ts/common/options';
import { type Standalone, startStandalone } from '../../packages/cli/src/standalone.ts';
import type { StandaloneMount } from '../../packages/cli/src/standalone-arguments.ts';

export interface TestStandalone {
  readonly standalone: Standalone;
  readonly s3: string;
  readonly rest: string;
  readonly web: string;
  readonly coordinator: string;
  stop(): Promise<void>;
}

export interface TestStandaloneOptions {
  readonly workDir: string;
  readonly mounts?: readonly StandaloneMount[];
  /** `name=value`. */
  readonly definitions?: readonly string[];
  readonly logger?: ProcessLogger;
}

export async function startTestStandalone(given: TestStandaloneOptions): Promise<TestStandalone> {
  const options = loadOptions({
    environment: {},
    homeDir: given.workDir,
    workingDir: given.workDir,
    definitions: [
      `alluxio.work.dir=${given.workDir}`,
      'alluxio.coordinator.web.port=0',
      'alluxio.worker.rest.port=0',
      'alluxio.worker.http.server.port=0',
      'alluxio.worker.web.port=0',
      'alluxio.worker.page.store.sizes=1GB',
      ...(given.definitions ?? []),
    ],
  });
  const standalone = await startStandalone({
    options,
    mounts: given.mounts ?? [],
    environment: {},
    clock: systemClock,
    random: systemRandom,
    logger: given.logger ?? silentLogger,
  });
  const at = (port: number): string => `http://127.0.0.1:${port}`;
  return {
    standalone,
    s3: at(standalone.worker.s3Port),
    rest: at(standalone.worker.restPort),
    web: at(standalone.worker.webPort),
    coordinator: at(standalone.coordinator.port),
    stop: () => standalone.close({ deadlineMs: 0 }),
  };
}

/** The value of a metric without labels, or the sum over its labels. */
export async function metricOf(web: string, name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${web}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
