/** The short versions of the fault tests of a cluster; `npm run soak -- --only cluster` has the long ones. */

import t from 'tap';
import {
  emptyCache,
  emptyEtcd,
  freezeOwner,
  killCoordinator,
  killInMidAnswer,
  killWorkers,
  slowOwner,
  splitRings,
} from '../soak/cluster-faults.ts';
import { BreakableCluster } from '../soak/cluster-load.ts';
import { workDirOf } from '../support/work-dir.ts';

const cluster = await BreakableCluster.start(workDirOf(t, {}), 60, { isTimed: false });
t.teardown(() => cluster.stop());

const promises: Readonly<Record<string, (given: BreakableCluster) => Promise<string>>> = {
  'kill -9 of workers fails no read and stalls none': (given) => killWorkers(given, 3),
  'an answer whose owner is killed on the way is completed': (given) => killInMidAnswer(given, 1),
  'reads go on without a coordinator, and it comes back with all mounts': killCoordinator,
  'two rings at once give no wrong byte': (given) => splitRings(given, 10),
  'a frozen owner delays reads of its files alone, and fails none': freezeOwner,
  'a slow owner is waited for, and one that is silent is left': slowOwner,
  'a worker that lost its disk fills again by being read': emptyCache,
  'an etcd that was emptied costs no read, and all register again': emptyEtcd,
};

for (const [promise, scenario] of Object.entries(promises)) {
  t.test(promise, async (t) => {
    const said = await scenario(cluster);
    t.match(said, /\d/, said);
  });
}
