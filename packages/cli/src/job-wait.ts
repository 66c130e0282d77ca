/** Follows a job until it has ended, and shows how far it is. */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import { isEnded, type Job } from '@alluxio-ts/common/protocol/jobs';
import type { ProgramOptions } from './context.ts';
import { JobProgressLine } from './job-progress-line.ts';

const drawPauseMs = 500;
const linePauseMs = 5000;
/** A coordinator that starts anew is back within this; jobs go on without us in any case. */
const unreachableMaxMs = 30_000;

/** The job as it ended. A signal ends the waiting, and not the job: fails with Unreachable and says so. */
export async function waitForJob(
  context: ProgramOptions,
  client: CoordinatorClient,
  id: string,
): Promise<Job> {
  const stopped = new AbortController();
  void context.stopSignal().then((name) => {
    const hint = `the job ${id} goes on: "alluxio job list" shows it, --stop ends it`;
    stopped.abort(new AlluxioError('Unreachable', `${name}: not waiting any longer; ${hint}`));
  });
  const line = new JobProgressLine();
  let toldAtMs = systemClock.monotonic();
  let answeredAtMs = toldAtMs;
  try {
    for (;;) {
      const now = systemClock.monotonic();
      const job = await find(client, id, stopped.signal);
      if (job) {
        answeredAtMs = now;
        line.add(job, now);
        if (isEnded(job)) return job;
        if (context.isTerminal) context.stderr.write(`\r\u001b[K${line.text(job)}`);
        else if (now - toldAtMs >= linePauseMs) {
          toldAtMs = now;
          context.stderr.write(`${line.text(job)}\n`);
        }
      } else if (now - answeredAtMs > unreachableMaxMs) {
        throw new AlluxioError(
          'Unreachable',
          `the coordinator has not answered for ${unreachableMaxMs / 1000} s`,
        );
      }
      await systemClock.sleep(drawPauseMs, { signal: stopped.signal });
    }
  } finally {
    if (context.isTerminal) context.stderr.write('\r\u001b[K');
  }
}

/** Undefined while the coordinator or its state store is away. */
async function find(client: CoordinatorClient, id: string, signal: AbortSignal): Promise<Job | undefined> {
  try {
    const [job] = await client.listJobs({ id }, { signal });
    if (job) return job;
  } catch (thrown) {
    if (hasErrorCode(thrown, 'Unreachable', 'StateStoreUnavailable') && !signal.aborted) return undefined;
    throw thrown;
  }
  throw new AlluxioError('JobNotFound', `there is no job ${id} any more`);
}
