/** What every addition to a set of entries (mounts, rules) does beside putting its entry. */

import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { claimsPrefixOf, decodeGuard, encodeGuard } from '@alluxio-ts/common/protocol/guard';
import type { KvCallOptions, KvCompare, KvPut, KvStore } from '@alluxio-ts/common/state/kv-store';

/** Part of a transaction that succeeds only if nobody has added to the set since the call. To be called before the set is read. */
export interface AdditionGuard {
  readonly compare: KvCompare;
  readonly put: KvPut;
}

export interface AdditionGuardOptions {
  readonly store: KvStore;
  readonly random: Random;
}

/** Fails with StateConflict while workers are about to put back what an emptied store has lost: an addition now would make that impossible. */
export async function additionGuard(
  { store, random }: AdditionGuardOptions,
  key: string,
  call: KvCallOptions,
): Promise<AdditionGuard> {
  const entry = await store.get(key, call);
  if (!entry) await refuseWhileRestoring(store, key, call);
  const guard = entry && decodeGuard(entry.value);
  const value = encodeGuard({ ...guard, schema: 1, id: guard?.id || random.uuid() });
  return { compare: { key, modRevision: entry?.modRevision ?? 0 }, put: { key, value } };
}

async function refuseWhileRestoring(store: KvStore, key: string, call: KvCallOptions): Promise<void> {
  const { entries } = await store.list(claimsPrefixOf(key), call);
  if (entries.length === 0) return;
  throw new AlluxioError(
    'StateConflict',
    `the state store came back empty, and ${entries.length} workers are about to put back what it had; repeat in a minute at the latest`,
  );
}
