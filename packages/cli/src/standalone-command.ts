/** `alluxio standalone`: starts everything, says where it is, and runs until a signal drains it. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { createLogger, type LoggerOptions } from '@alluxio-ts/common/logger';
import type { Options } from '@alluxio-ts/common/options';
import { optionsOf, type ProgramOptions, tell } from './context.ts';
import { samplePath, type Standalone, startStandalone } from './standalone.ts';
import type { StandaloneArguments } from './standalone-arguments.ts';

/** Answers in flight get this long after the first signal; a second signal ends at once. */
const drainDeadlineMs = 30_000;

export async function runStandalone(context: ProgramOptions, standalone: StandaloneArguments): Promise<void> {
  const options = optionsOf(context);
  for (const notice of options.notices) tell(context, notice);
  const logger = createLogger({
    process: 'standalone',
    level: logLevelOf(options, context),
    destination: context.stderr,
  });
  const running = await startStandalone({
    options,
    mounts: standalone.mounts,
    environment: context.environment,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  context.stdout.write(banner(running, options.get('alluxio.bind.host')));
  const signal = await context.stopSignal();
  context.stdout.write(`${signal}: finishing what is under way (again to stop at once)\n`);
  await running.close({ deadlineMs: drainDeadlineMs });
  context.stdout.write('stopped\n');
}

/** A person at a terminal reads the banner; the log's lines are for them only when something is wrong, unless they ask for more. */
function logLevelOf(options: Options, context: ProgramOptions): LoggerOptions['level'] {
  const isChosen = options.entryOf('alluxio.log.level').source.kind !== 'DEFAULT';
  return context.isTerminal && !isChosen ? 'warn' : options.get('alluxio.log.level');
}

function banner(running: Standalone, bindHost: string): string {
  const host = bindHost === '0.0.0.0' || bindHost === '::' ? '127.0.0.1' : bindHost;
  const { worker, coordinator } = running;
  const s3 = `http://${host}:${worker.s3Port}`;
  const mounts = worker.mounts.list().map((mount) => `    ${mount.path.padEnd(16)} ${mount.uri.text}`);
  return `
alluxio-ts is running. Read through it:

    curl -i ${s3}${samplePath}/hello.txt
    AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws --endpoint-url ${s3} s3 ls s3:/${samplePath}/

Mounted:

${mounts.join('\n')}

Mount more:

    npx alluxio mount add --path /data --ufs-uri s3://bucket/prefix --option alluxio.underfs.s3.region=us-east-1
    npm start -- --mount /data=/a/directory

S3 API         ${s3}
REST API       http://${host}:${worker.restPort}/v1/health
Metrics        http://${host}:${worker.webPort}/metrics
Coordinator    http://${host}:${coordinator.port}/api/v1/mounts
Admin token    ${running.tokenFile}

Ctrl-C stops it; the mounts and the cache stay.
`;
}
