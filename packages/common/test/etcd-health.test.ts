import { systemClock } from '@alluxio-ts/common/clock';
import { etcdHealth } from '@alluxio-ts/common/state/etcd-health';
import { Etcd3 } from 'etcd3';
import t from 'tap';
import { startEtcdServer } from '../../../test/support/etcd-server.ts';

const etcd = await startEtcdServer();
t.teardown(() => etcd.stop());
const options = { endpoints: etcd.endpoints, clock: systemClock };

t.test('a member tells its version, its size and how fast it answers', async (t) => {
  const { alarms, members } = await etcdHealth(options);
  t.same(alarms, []);
  const [member] = members;
  t.match(member, { name: etcd.endpoints[0], version: /^3\.\d/ });
  t.ok((member?.sizeBytes ?? 0) > 0);
  t.ok((member?.latencyMs ?? -1) >= 0);
  t.notOk(member?.fault);
});

t.test('an alarm is told', async (t) => {
  const client = new Etcd3({ hosts: [...etcd.endpoints] });
  t.teardown(() => client.close());
  const { header } = await client.maintenance.status();
  await client.maintenance.alarm({ action: 'Activate', memberID: header.member_id, alarm: 'Nospace' });
  t.same((await etcdHealth(options)).alarms, ['Nospace']);
  await client.maintenance.alarm({ action: 'Deactivate', memberID: header.member_id, alarm: 'Nospace' });
  t.same((await etcdHealth(options)).alarms, []);
});

t.test('a member that is gone is named with its fault', async (t) => {
  await etcd.kill();
  const { members } = await etcdHealth(options);
  t.match(members, [{ name: etcd.endpoints[0], fault: { code: 'StateStoreUnavailable' } }]);
});
