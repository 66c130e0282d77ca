/** How the state store is, whichever it is. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@alluxio-ts/common/clock';
import { type Fault, faultOf, type StateStoreDiagnosis } from '@alluxio-ts/common/protocol/diagnosis';
import { mountsGuardKeyOf } from '@alluxio-ts/common/protocol/mounts';
import { etcdHealth } from '@alluxio-ts/common/state/etcd-health';
import type { EtcdKvStoreOptions } from '@alluxio-ts/common/state/etcd-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';

export async function etcdDiagnosis(
  store: KvStore,
  etcd: EtcdKvStoreOptions,
  clusterName: string,
): Promise<StateStoreDiagnosis> {
  const [read, { members, alarms }] = await Promise.all([
    timeRead(store, clusterName, etcd.clock),
    etcdHealth(etcd),
  ]);
  return { kind: 'etcd', ...read, members: [...members], alarms: [...alarms] };
}

export async function embeddedStoreDiagnosis(
  store: KvStore,
  place: { readonly directory: string; readonly clusterName: string; readonly clock: Clock },
): Promise<StateStoreDiagnosis> {
  const { clock, clusterName, directory } = place;
  const read = await timeRead(store, clusterName, clock);
  const sizes = await Promise.all(
    ['state.snapshot', 'state.log'].map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  // Its log is open and locked; without the directory the next change would be lost.
  const fault = await stat(directory).then(() => undefined, faultOf);
  const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
  const member = { name: directory, sizeBytes, ...(fault ? { fault } : {}) };
  return { kind: 'embedded', ...read, members: [member], alarms: [] };
}

/** Of a read that the members have to agree on. */
async function timeRead(
  store: KvStore,
  clusterName: string,
  clock: Clock,
): Promise<{ readonly latencyMs?: number; readonly fault?: Fault }> {
  const begunMs = clock.monotonic();
  try {
    await store.get(mountsGuardKeyOf(clusterName));
    return { latencyMs: Math.round((clock.monotonic() - begunMs) * 10) / 10 };
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  }
}
