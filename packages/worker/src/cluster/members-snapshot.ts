/**
 * The last known members in a file, so that a worker that starts while etcd is away has the ring of before. One record with checksums;
 * a file that cannot be read is as good as none.
 */

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import {
  decodeWorkerEntity,
  encodeWorkerEntity,
  type WorkerEntity,
} from '@alluxio-ts/common/protocol/worker-entity';
import { encodeRecord, scanRecords } from '@alluxio-ts/common/state/record-file';
import { z } from 'zod';

export interface MembersSnapshot {
  readonly live: readonly WorkerEntity[];
  readonly registered: readonly WorkerEntity[];
}

const fileSchema = z.object({
  schema: z.literal(1),
  clusterName: z.string(),
  live: z.array(z.string()),
  registered: z.array(z.string()),
});

/** Undefined when there is none of this cluster. */
export async function readMembersSnapshot(
  file: string,
  clusterName: string,
  logger: Logger,
): Promise<MembersSnapshot | undefined> {
  try {
    const { payloads, rest } = scanRecords(await readFile(file));
    if (rest !== 'nothing' || payloads.length !== 1) throw new Error('its checksum does not match');
    const content = fileSchema.parse(JSON.parse(payloads[0] ?? ''));
    if (content.clusterName !== clusterName) return undefined;
    const decode = (value: string): WorkerEntity => decodeWorkerEntity(file, value);
    return { live: content.live.map(decode), registered: content.registered.map(decode) };
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') logger.warn({ file, error: thrown }, 'members-snapshot-unreadable');
    return undefined;
  }
}

/** The file is the old one or the new one, whenever the process stops. */
export async function writeMembersSnapshot(
  file: string,
  clusterName: string,
  snapshot: MembersSnapshot,
): Promise<void> {
  const content = {
    schema: 1,
    clusterName,
    live: snapshot.live.map(encodeWorkerEntity),
    registered: snapshot.registered.map(encodeWorkerEntity),
  };
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const temporaryFile = `${file}.tmp`;
  const handle = await open(temporaryFile, 'w', 0o600);
  try {
    await handle.writeFile(encodeRecord(JSON.stringify(content)));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporaryFile, file);
}
