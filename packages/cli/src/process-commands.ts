/** `alluxio process`: the processes of a cluster, each until a signal drains it. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { type AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import { createLogger, type Logger } from '@alluxio-ts/common/logger';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import { optionsOf, type ProgramOptions, tell } from './context.ts';
import type { ProcessParts } from './worker-composition.ts';

/** Answers in flight get this long after the first signal; a second signal ends at once. */
const drainDeadlineMs = 30_000;

export function addProcessCommands(program: Command, context: ProgramOptions): void {
  const group = program
    .command('process')
    .description('Runs the processes of a cluster.')
    .addHelpText('after', startHelp);
  group
    .command('remove-worker')
    .description('Takes a lost worker off the list of members. What it cached is cached anew by others.')
    .requiredOption('-n, --name <workerId>', 'its id, as "alluxio info nodes" shows it')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  alluxio process remove-worker -n worker-25a2f9ac-87b1-445f-880f-8688567ee153\n',
    )
    .action(async (flags: JsonFlag & { readonly name: string }) => {
      await withCoordinator(context, (client) => client.removeWorker(flags.name));
      await print(context, flags, { data: { id: flags.name }, text: `Removed ${flags.name}\n` });
    });
  const start = group
    .command('start')
    .description('Runs one until a signal stops it.')
    .addHelpText('after', startHelp);
  for (const [name, description, run] of [
    ['coordinator', 'Keeps the mounts and answers the command line.', runCoordinator],
    ['worker', 'Caches files and serves them.', runWorker],
  ] as const) {
    start
      .command(name)
      .description(description)
      // Given by Alluxio's images and charts; this is what happens in any case.
      .option('--direct', 'accepted and without effect: the process always runs in the foreground')
      .option('--console-log', 'accepted and without effect: the log always goes to stderr')
      .addHelpText(
        'after',
        `\nExamples:\n  alluxio process start ${name} -Dalluxio.etcd.endpoints=http://127.0.0.1:2379\n`,
      )
      .action(() => run(context));
  }
}

const startHelp = `
Examples:
  alluxio process start coordinator -Dalluxio.etcd.endpoints=http://127.0.0.1:2379
  alluxio process start worker -Dalluxio.etcd.endpoints=http://127.0.0.1:2379 -Dalluxio.work.dir=/var/lib/alluxio/worker-1
`;

async function runCoordinator(context: ProgramOptions): Promise<void> {
  // Loaded here alone: no other command needs etcd.
  const { startCoordinatorProcess } = await import('./cluster-composition.ts');
  const { parts } = processParts(context, 'coordinator');
  const running = await startCoordinatorProcess(parts);
  const { host, port } = running.coordinator;
  await context.writeOut(`coordinator is running at http://${host}:${port}\n`);
  await untilStopped(context, () => running.close());
}

async function runWorker(context: ProgramOptions): Promise<void> {
  const { startWorkerProcess } = await import('./cluster-composition.ts');
  const { parts, logger } = processParts(context, 'worker');
  const conflict = Promise.withResolvers<AlluxioError>();
  const running = await startWorkerProcess(parts, conflict.resolve);
  const { Host, S3Port, HttpServerPort, WebPort } = running.worker.address;
  await context.writeOut(
    `worker is running: S3 http://${Host}:${S3Port}, REST http://${Host}:${HttpServerPort}, web http://${Host}:${WebPort}\n`,
  );
  const close = () => running.close({ deadlineMs: drainDeadlineMs });
  await Promise.race([
    untilStopped(context, close),
    conflict.promise.then((error) => stopFor(error, logger, close)),
  ]);
}

/** Two workers of one identity would each take the other's place in the ring. */
async function stopFor(error: AlluxioError, logger: Logger, close: () => Promise<void>): Promise<never> {
  logger.error({ error }, 'worker-identity-taken');
  await close();
  throw toAlluxioError(error);
}

function processParts(
  context: ProgramOptions,
  process: 'coordinator' | 'worker',
): { readonly parts: ProcessParts; readonly logger: Logger } {
  const options = optionsOf(context);
  for (const notice of options.notices) tell(context, notice);
  const logger = createLogger({
    process,
    level: options.get('alluxio.log.level'),
    destination: context.stderr,
  });
  const parts = {
    options,
    environment: context.environment,
    clock: systemClock,
    random: systemRandom,
    logger,
  };
  return { parts, logger };
}

async function untilStopped(context: ProgramOptions, close: () => Promise<void>): Promise<void> {
  const signal = await context.stopSignal();
  await context.writeOut(`${signal}: finishing what is under way (again to stop at once)\n`);
  await close();
  await context.writeOut('stopped\n');
}
