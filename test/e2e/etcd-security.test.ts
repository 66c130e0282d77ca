/** A coordinator and a worker whose site file has all that an etcd with TLS, client certificates, users and roles asks for; and what they say when it is wrong. */

import { createPrivateKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { makeTestCertificate } from '../support/certificate.ts';
import { Member, type Role, runCommand, until } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: { 'a.txt': 'seen' }, shared: {}, pem: {} });
const { certificate, key } = makeTestCertificate('etcd', 'rsa');
const etcd = await startEtcdServer({ tls: { certificate, key } });
t.teardown(() => etcd.stop());
const password = 'hush-hush-password';
for (const line of [
  'user add root:root-password',
  'user grant-role root root',
  'role add alluxio',
  // The least rights that are enough.
  'role grant-permission --prefix=true alluxio readwrite /alluxio-ts/',
  'role grant-permission --prefix=true alluxio readwrite /ServiceDiscovery/',
  'role grant-permission --prefix=true alluxio readwrite /DHT/',
  `user add alluxio:${password}`,
  'user grant-role alluxio alluxio',
  'auth enable',
]) {
  await etcd.control(...line.split(' '));
}

const foreign = makeTestCertificate('other', 'rsa');
const pkcs1 = createPrivateKey(key).export({ type: 'pkcs1', format: 'pem' });
const pem = {
  ca: certificate,
  'other-ca': foreign.certificate,
  key,
  'other-key': foreign.key,
  pkcs1,
  garbage: '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n',
};
for (const [name, text] of Object.entries(pem)) await writeFile(join(root, 'pem', name), text);

const right: Readonly<Record<string, string>> = {
  'alluxio.etcd.endpoints': etcd.endpoints.join(','),
  'alluxio.etcd.username': 'alluxio',
  'alluxio.etcd.password': password,
  'alluxio.etcd.tls.ca.file': join(root, 'pem', 'ca'),
  'alluxio.etcd.tls.cert.file': join(root, 'pem', 'ca'),
  'alluxio.etcd.tls.key.file': join(root, 'pem', 'key'),
  'alluxio.cluster.secret.file': join(root, 'shared', 'secret'),
  'alluxio.security.key.file': join(root, 'shared', 'key'),
  'alluxio.security.admin.token.file': join(root, 'shared', 'token'),
  'alluxio.ufs.local.allowed.roots': join(root, 'data'),
};

/** `-D` for processes that read the site file made of these properties. */
async function siteOf(name: string, changed: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const lines = Object.entries({ ...right, ...changed }).map(([option, value]) => `${option}=${value}\n`);
  const directory = join(root, `conf-${name}`);
  await mkdir(directory);
  await writeFile(join(directory, 'alluxio-site.properties'), lines.join(''));
  return [`-Dalluxio.conf.dir=${directory}`];
}

function start(role: Role, name: string, common: readonly string[]): Member {
  const member = new Member({ role, workDir: join(root, name), common });
  t.teardown(() => member.stop('SIGKILL'));
  return member;
}

t.test('with the right site file they find each other and read', async (t) => {
  for (const [name, changed] of [
    ['pkcs8', {}],
    ['pkcs1', { 'alluxio.etcd.tls.key.file': join(root, 'pem', 'pkcs1'), 'alluxio.cluster.name': 'other' }],
  ] as const) {
    const common = await siteOf(name, changed);
    const coordinator = start('coordinator', `coordinator-${name}`, common);
    const worker = start('worker', `worker-${name}`, common);
    await worker.url('S3');
    const mount = ['mount', 'add', '--path', '/data', '--ufs-uri', join(root, 'data')];
    t.equal((await runCommand(coordinator, common, mount)).stderr, '', name);
    const url = `${await worker.url('S3')}/data/a.txt`;
    await until(async () => (await fetch(url)).status === 200);
    t.equal(await (await fetch(url)).text(), 'seen');
    t.match((await runCommand(coordinator, common, ['info', 'nodes'])).stdout, /ONLINE/);
    const shown = await runCommand(coordinator, common, ['conf', 'get']);
    t.match(shown.stdout, /alluxio\.etcd\.password=xxx/);
    for (const member of [coordinator, worker]) t.notMatch(member.output + member.errors, password);
  }
});

const wrong: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  [
    'ca',
    { 'alluxio.etcd.tls.ca.file': join(root, 'pem', 'other-ca') },
    /the certificate of etcd at https:\/\/localhost:\d+ is not one that we trust \(self-signed certificate\); set alluxio\.etcd\.tls\.ca\.file/,
  ],
  [
    'password',
    { 'alluxio.etcd.password': 'wrong-hush' },
    /etcd refuses us at .*; check alluxio\.etcd\.username, \.password/,
  ],
  [
    'certificate',
    {
      'alluxio.etcd.tls.cert.file': join(root, 'pem', 'other-ca'),
      'alluxio.etcd.tls.key.file': join(root, 'pem', 'other-key'),
    },
    /etcd at https:\/\/localhost:\d+ refuses our certificate, or misses one; set alluxio\.etcd\.tls\.cert\.file/,
  ],
  [
    'pair',
    { 'alluxio.etcd.tls.key.file': join(root, 'pem', 'other-key') },
    /other-key \(alluxio\.etcd\.tls\.key\.file\) is not the key of the certificate/,
  ],
  [
    'key',
    { 'alluxio.etcd.tls.key.file': join(root, 'pem', 'garbage') },
    /garbage \(alluxio\.etcd\.tls\.key\.file\) holds no private key in PEM without a passphrase; "openssl pkcs8/,
  ],
  ['no-key', { 'alluxio.etcd.tls.key.file': '' }, /cert\.file and alluxio\.etcd\.tls\.key\.file go together/],
  [
    'no-file',
    { 'alluxio.etcd.tls.ca.file': join(root, 'pem', 'none') },
    /none \(alluxio\.etcd\.tls\.ca\.file\) cannot be read \(ENOENT\)/,
  ],
  [
    'address',
    { 'alluxio.etcd.endpoints': 'https://127.0.0.1:2379' },
    /alluxio\.etcd\.endpoints has https with an IP address; name a host that the certificate of etcd is for/,
  ],
];

for (const [name, changed, message] of wrong) {
  t.test(`what is wrong is said in one line, without secrets: ${name}`, async (t) => {
    const common = await siteOf(name, changed);
    await Promise.all(
      (['coordinator', 'worker'] as const).map(async (role) => {
        const member = start(role, `${role}-${name}`, common);
        t.equal(await member.ended(), 1);
        const lines = member.errors.split('\n').filter((line) => line.startsWith('alluxio: '));
        t.equal(lines.length, 1, role);
        t.match(lines[0], message);
        t.notMatch(member.output + member.errors, /hush|PRIVATE KEY/);
      }),
    );
  });
}
