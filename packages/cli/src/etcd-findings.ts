/** How etcd is as this machine reaches it, by the options of this machine. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import type { Options } from '@alluxio-ts/common/options';
import { EtcdKvStore } from '@alluxio-ts/common/state/etcd-kv-store';
import { etcdOptionsOf } from './cluster-composition.ts';
import { stateStoreFindings } from './cluster-findings.ts';
import type { ProgramOptions } from './context.ts';
import { type Finding, Findings } from './finding.ts';
import { etcdDiagnosis } from './state-store-diagnosis.ts';

/** None where no etcd is set. */
export async function etcdFindings(context: ProgramOptions, options: Options): Promise<readonly Finding[]> {
  if (options.get('alluxio.etcd.endpoints').length === 0) return [];
  const findings = new Findings('state-store');
  const parts = {
    options,
    environment: context.environment,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  };
  try {
    const etcd = await etcdOptionsOf(parts);
    const store = new EtcdKvStore(etcd);
    try {
      return stateStoreFindings(await etcdDiagnosis(store, etcd, options.get('alluxio.cluster.name')));
    } finally {
      await store.close();
    }
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'InvalidOptions')) throw thrown;
    findings.error('etcd', thrown.message, 'correct the options of etcd');
    return findings.found;
  }
}
