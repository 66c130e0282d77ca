import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { clusterDiagnosisSchema } from '@alluxio-ts/common/protocol/diagnosis';
import { createSecretBox, type SecretBox } from '@alluxio-ts/common/secret-box';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { ClusterDoctor, type Inspection } from '../src/control/cluster-doctor.ts';
import { MountControl } from '../src/control/mount-control.ts';
import { localProbe } from './support/local-probe.ts';

const box = createSecretBox(systemRandom.bytes(32), '/key', systemRandom);

async function open(t: Test, given: Partial<Inspection> = {}, key: SecretBox | undefined = box) {
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  t.teardown(() => store.close());
  const controlWith = (sealedBy: SecretBox | undefined) =>
    new MountControl({
      store,
      clusterName: 'c',
      probe: localProbe,
      box: sealedBy,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
  const mounts = controlWith(key);
  const inspection: Inspection = {
    facts: () => processFacts({ version: '1.2.3', notices: [], clock: systemClock }),
    stateStore: async () => ({ kind: 'embedded', latencyMs: 1, members: [], alarms: [] }),
    workers: async () => [],
    ...given,
  };
  const doctor = new ClusterDoctor({ inspection, mounts, isAdminOpen: false });
  return { controlWith, doctor, mounts };
}

t.test('each mount is asked, and no secret is told', async (t) => {
  const { controlWith, doctor, mounts } = await open(t);
  const dir = t.testdir({ here: {} });
  await mounts.add({ path: '/here', ufsUri: `${dir}/here`, options: {}, check: false });
  await mounts.add({ path: '/gone', ufsUri: `${dir}/gone`, options: { secretKey: 'hush' }, check: false });
  const clear = { path: '/clear', ufsUri: '/none', options: { secretKey: 'hush' }, check: false };
  await controlWith(undefined).add(clear);
  const diagnosis = await doctor.diagnose({ measuresDisks: false });
  t.same(clusterDiagnosisSchema.parse(diagnosis), diagnosis, 'as its clients read it');
  t.match(diagnosis, {
    coordinator: { version: '1.2.3', isAdminOpen: false },
    stateStore: { latencyMs: 1 },
    mounts: [
      { path: '/clear', hasClearSecrets: true },
      { path: '/gone', hasClearSecrets: false, fault: { code: 'UfsBucketNotFound' } },
      { path: '/here', hasClearSecrets: false },
    ],
  });
  t.notOk(diagnosis.mounts.at(-1)?.fault);
  t.notMatch(JSON.stringify(diagnosis), /hush/);
});

t.test('whoever asks meanwhile gets the same answer, and the storages are asked once', async (t) => {
  const asked: boolean[] = [];
  const { doctor } = await open(t, {
    workers: async ({ measuresDisks }) => {
      asked.push(measuresDisks);
      return [];
    },
  });
  const plain = { measuresDisks: false };
  await Promise.all([
    doctor.diagnose(plain),
    doctor.diagnose(plain),
    doctor.diagnose({ measuresDisks: true }),
  ]);
  t.same(asked, [false, true]);
  await doctor.diagnose(plain);
  t.same(asked, [false, true, false]);
});

t.test('without the state store the rest is told, and that it is away', async (t) => {
  const away = new AlluxioError('StateStoreUnavailable', 'etcd does not answer');
  const { doctor } = await open(t, { workers: () => Promise.reject(away) });
  const { mounts, stateStore, workers } = await doctor.diagnose({ measuresDisks: false });
  t.same([mounts, workers], [[], []]);
  t.match(stateStore, { fault: { code: 'StateStoreUnavailable', message: 'etcd does not answer' } });
  const broken = await open(t, { workers: () => Promise.reject(new Error('a bug')) });
  await t.rejects(broken.doctor.diagnose({ measuresDisks: false }), /a bug/);
});
