/** The last known members in a file, so that a worker that starts while etcd is away has the ring of before. */

import type { Logger } from '@alluxio-ts/common/logger';
import {
  decodeWorkerEntity,
  encodeWorkerEntity,
  type WorkerEntity,
} from '@alluxio-ts/common/protocol/worker-entity';
import { z } from 'zod';
import { SnapshotFile } from './snapshot-file.ts';

export interface KnownMembers {
  readonly live: readonly WorkerEntity[];
  readonly registered: readonly WorkerEntity[];
}

/** In the form in which they stand in etcd. */
const contentSchema = z.object({
  schema: z.literal(1),
  clusterName: z.string(),
  live: z.array(z.string()),
  registered: z.array(z.string()),
});

export interface MembersSnapshotOptions {
  readonly file: string;
  readonly clusterName: string;
  readonly logger: Logger;
}

export class MembersSnapshot {
  readonly #options: MembersSnapshotOptions;
  readonly #file: SnapshotFile<z.infer<typeof contentSchema>>;

  constructor(options: MembersSnapshotOptions) {
    const { file, clusterName, logger } = options;
    this.#options = options;
    this.#file = new SnapshotFile({
      file,
      schema: contentSchema,
      isOwn: (content) => content.clusterName === clusterName,
      logger,
    });
  }

  /** Undefined when there is none of this cluster. */
  async read(): Promise<KnownMembers | undefined> {
    const { file, logger } = this.#options;
    const content = await this.#file.read();
    if (!content) return undefined;
    const decode = (value: string): WorkerEntity => decodeWorkerEntity(file, value);
    try {
      return { live: content.live.map(decode), registered: content.registered.map(decode) };
    } catch (thrown) {
      logger.warn({ file, error: thrown }, 'snapshot-unreadable');
      return undefined;
    }
  }

  write({ live, registered }: KnownMembers): void {
    this.#file.write({
      schema: 1,
      clusterName: this.#options.clusterName,
      live: live.map(encodeWorkerEntity),
      registered: registered.map(encodeWorkerEntity),
    });
  }

  settled(): Promise<void> {
    return this.#file.settled();
  }
}
