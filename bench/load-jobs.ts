/** A dataset in an S3 server, brought there by rclone and fetched from there by load jobs. */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock } from '@alluxio-ts/common/clock';
import { isEnded } from '@alluxio-ts/common/protocol/jobs';
import type { S3Server } from '../test/support/s3-server.ts';

/** A bucket as rclone names it, with all that it needs to get there. */
export function rcloneRemoteOf(
  { accessKeyId, endpoint, region, secretKey }: S3Server,
  bucket: string,
): string {
  return `:s3,provider=Other,access_key_id=${accessKeyId},secret_access_key=${secretKey},region=${region},endpoint="${endpoint}":${bucket}`;
}

/** Resolves when a job has fetched everything below the path, or was stopped after a while; fails when it has failed. */
export async function runLoad(
  client: CoordinatorClient,
  path: string,
  { stopAfterMs = Number.POSITIVE_INFINITY, verify = false }: RunLoadOptions = {},
): Promise<void> {
  const beginMs = systemClock.monotonic();
  const { job } = await client.submitJob({ kind: 'LOAD', paths: [path], options: { verify } });
  let isStopped = false;
  for (;;) {
    const [known] = await client.listJobs({ id: job.id });
    if (known && isEnded(known)) {
      if (known.state !== (isStopped ? 'STOPPED' : 'SUCCEEDED')) throw new Error(JSON.stringify(known));
      return;
    }
    if (!isStopped && systemClock.monotonic() - beginMs > stopAfterMs) {
      isStopped = true;
      await client.stopJob(job.id);
    }
    await systemClock.sleep(100);
  }
}

export interface RunLoadOptions {
  readonly verify?: boolean;
  readonly stopAfterMs?: number;
}
