/** What a worker does about TTL rules, as a whole: it follows them in the state store and drops the files whose time is over. */

import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import type { FileCache } from './cache/file-cache.ts';
import type { MountTable } from './cache/mount-table.ts';
import { TtlRules } from './cache/ttl-rules.ts';
import { TtlSweeper } from './cache/ttl-sweeper.ts';
import type { KvMirrorOptions } from './cluster/kv-mirror.ts';
import { TtlWatcher } from './cluster/ttl-watcher.ts';
import type { FileRecordStore } from './file-records/file-record-store.ts';

export interface TtlOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly cache: FileCache;
  readonly records: FileRecordStore;
  readonly mounts: MountTable;
  readonly pageSizeBytes: number;
  readonly checkIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Resolves when the rules are in force that the state store has, or last had, and the first sweep begins. */
export async function startTtl(options: TtlOptions): Promise<{ close(): Promise<void> }> {
  const { metrics } = options;
  const rules = new TtlRules();
  const sweeper = new TtlSweeper({
    ...options,
    rules,
    onExpired: ({ fileCount, freedBytes }) => {
      metrics.add('alluxio_ttl_expired_files_total', {}, fileCount);
      metrics.add('alluxio_ttl_expired_bytes_total', {}, freedBytes);
    },
  });
  const watcher = new TtlWatcher({ ...options, rules, onPut: () => sweeper.wake() });
  const close = async (): Promise<void> => {
    await watcher.close();
    await sweeper.close();
  };
  try {
    await watcher.start();
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { close };
}
