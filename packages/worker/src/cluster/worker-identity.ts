/**
 * Who a worker is, over restarts and changes of address: its place in the ring hangs on it, so a new identity is an empty cache. The file is
 * Alluxio's: a UUID on a line, lines that begin with `#` are comments.
 */

import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { WorkerIdentity } from '@alluxio-ts/common/protocol/worker-entity';
import { readOrCreateSecretFile } from '@alluxio-ts/common/secret-file';

const header = `# The identity of this worker. Its place in the ring hangs on it: keep the file with the cache,
# and never copy it to another worker.
`;

/** The identity in the file, which is made when it is missing. Throws InvalidOptions naming the file when it holds none. */
export async function readOrCreateWorkerIdentity(file: string, random: Random): Promise<WorkerIdentity> {
  const content = await readOrCreateSecretFile(file, Buffer.from(`${header}${random.uuid()}\n`), random);
  const lines = content
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const [uuid = ''] = lines;
  if (lines.length !== 1 || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) {
    throw new AlluxioError(
      'InvalidOptions',
      `the identity file ${file} does not hold one UUID; restore it, or remove it to join as a new worker with an empty place in the ring`,
    );
  }
  return { version: 1, identifier: Buffer.from(uuid.replaceAll('-', ''), 'hex') };
}
