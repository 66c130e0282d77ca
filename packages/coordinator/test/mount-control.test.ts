import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { type Logger, silentLogger } from '@alluxio-ts/common/logger';
import { unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import { decodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { createSecretBox, type SecretBox } from '@alluxio-ts/common/secret-box';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { MountControl } from '../src/control/mount-control.ts';
import { localProbe } from './support/local-probe.ts';

const box = createSecretBox(systemRandom.bytes(32), '/key', systemRandom);

function open(t: Test, given: { readonly box?: SecretBox; readonly logger?: Logger } = {}) {
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  t.teardown(() => store.close());
  const create = () =>
    new MountControl({
      store,
      clusterName: 'c',
      probe: localProbe,
      box: given.box,
      clock: systemClock,
      random: systemRandom,
      logger: given.logger ?? silentLogger,
    });
  return { store, control: create(), create };
}

function unchecked(path: string, ufsUri: string, options: Record<string, string> = {}) {
  return { path, ufsUri, options, check: false };
}

await t.test('a mount is added, listed as given with its secrets masked, and removed', async (t) => {
  const { control, store } = open(t, { box });
  const options = { region: 'r', 's3a.secretKey': 'hush' };
  const masked = { ...options, 's3a.secretKey': 'xxx' };
  const added = await control.add(unchecked('/s3/', 's3://bucket/', options));
  t.same(added, { schema: 1, path: '/s3', ufsUri: 's3://bucket/', options: masked });
  t.same(await control.list(), [added]);
  const { entries } = await store.list(mountsPrefixOf('c'));
  t.equal(entries[0]?.key, '/alluxio-ts/c/mounts/s3');
  t.notMatch(entries[0]?.value, 'hush');
  const stored = decodeMount('key', entries[0]?.value ?? '');
  t.same(unsealMount(stored, box).options, options, 'a reader gets the secrets back');
  t.same(await control.remove('/s3/'), added);
  t.same(await control.list(), []);
  await t.rejects(control.remove('/s3'), { code: 'MountNotFound', message: /there are no mounts/ });
});

await t.test('each refusal names the rule and the mount in the way', async (t) => {
  const { control } = open(t);
  await control.add(unchecked('/a', 's3://bucket/dir'));
  const rows: readonly (readonly [string, string, string, RegExp])[] = [
    ['/', 's3://x/', 'InvalidArgument', /\/ itself cannot be mounted: a mount is a direct child/],
    ['/b/c', 's3://x/', 'InvalidArgument', /"\/b\/c" lies deeper: a mount is a direct child/],
    ['/b//', 's3://x/', 'InvalidArgument', /lies deeper/],
    ['b', 's3://x/', 'InvalidArgument', /does not begin with a slash/],
    ['/..', 's3://x/', 'InvalidArgument', /no name for a mount/],
    [`/${'b'.repeat(64)}`, 's3://x/', 'InvalidArgument', /1 to 63/],
    ['/b\n', 's3://x/', 'InvalidArgument', /^"\/b\?" is no name/],
    ['/b', 'nonsense', 'InvalidArgument', /is not a UFS URI/],
    ['/b', 's3://key:hush@bucket/', 'InvalidArgument', /^(?!.*hush).*holds a password/],
    ['/a', 's3://x/', 'AlreadyExists', /\/a is mounted already, from s3:\/\/bucket\/dir/],
    ['/b', 's3://bucket/dir', 'AlreadyExists', /mounted at \/a, contain one another/],
    ['/b', 's3://bucket/dir/below/', 'AlreadyExists', /mounted at \/a, contain one another/],
    ['/b', 's3a://bucket/', 'AlreadyExists', /mounted at \/a, contain one another/],
  ];
  for (const [path, uri, code, message] of rows) {
    await t.rejects(control.add(unchecked(path, uri)), { code, message }, `${path} ${uri}`);
  }
  t.equal((await control.list()).length, 1);
  t.ok(await control.add(unchecked('/b', 's3://bucket/directory')), 'a longer name is not nested');
  await t.rejects(control.remove('/c'), { code: 'MountNotFound', message: /mounted: \/a, \/b/ });
});

await t.test('options out of bounds are refused without their values', async (t) => {
  const { control } = open(t);
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`o${index}`, 'hush']));
  const sealed = { o: box.seal('hush', 'elsewhere') };
  const bad: readonly Record<string, string>[] = [
    many,
    { o: 'hush'.repeat(3000) },
    { 'a b': 'hush' },
    sealed,
  ];
  for (const options of bad) {
    const refusal = { code: 'InvalidArgument', message: /^(?!.*(hush|sealed:v1)).*$/ };
    await t.rejects(control.add(unchecked('/a', 's3://x/', options)), refusal);
  }
});

await t.test('the under storage is asked first, unless told not to', async (t) => {
  const { control } = open(t);
  const dir = t.testdir();
  const checked = (path: string, ufsUri: string) => control.add({ ...unchecked(path, ufsUri), check: true });
  await t.rejects(checked('/a', `${dir}/none`), { code: 'UfsBucketNotFound' });
  await t.rejects(checked('/a', 's3://bucket/'), { code: 'UfsUnsupported' });
  t.same(await control.list(), []);
  t.equal((await checked('/a', dir)).ufsUri, dir);
  t.ok(await control.add(unchecked('/b', `${dir}-none`)));
});

await t.test('of nested mounts added at once exactly one gets in, whoever adds them', async (t) => {
  const { create } = open(t);
  const uris = ['s3://b/', 's3://b/x', 's3://b/x/y', 's3a://b/x/', 's3://b/x/y/z'];
  const tries = uris.map((uri, index) => create().add(unchecked(`/m${index}`, uri)));
  const results = await Promise.allSettled(tries);
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { code: 'AlreadyExists' });
  }
});

await t.test('secrets without a key file are warned of once, without their values', async (t) => {
  const events: string[] = [];
  const note = (fields: Readonly<Record<string, unknown>>, event: string) => {
    events.push(`${event} ${JSON.stringify(fields)}`);
  };
  const { control } = open(t, { logger: { ...silentLogger, warn: note } });
  await control.add(unchecked('/a', 's3://a/', { region: 'r' }));
  t.equal(events.length, 0);
  await control.add(unchecked('/b', 's3://b/', { secret: 'hush' }));
  await control.add(unchecked('/c', 's3://c/', { secret: 'hush' }));
  t.equal(events.length, 1);
  t.match(events[0], /STORED IN CLEAR TEXT/);
  t.notMatch(events[0], 'hush');
});
