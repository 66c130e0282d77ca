import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadOrCreateToken, loadToken } from '../src/admin-token.ts';
import { systemRandom } from '../src/clock.ts';
import { maskMount, sealMount, unsealMount } from '../src/protocol/mount-secrets.ts';
import { decodeMount, encodeMount, type Mount } from '../src/protocol/mounts.ts';
import { createSecretBox, isSealed, loadKeyFile, loadOrCreateKeyFile } from '../src/secret-box.ts';

await t.test('what is sealed opens with the same key at the same place only', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'below', 'key');
  const box = await loadOrCreateKeyFile(file, systemRandom);
  const again = await loadKeyFile(file, systemRandom);
  const sealed = box.seal('hush ☃', 'here');
  t.ok(isSealed(sealed));
  t.notMatch(Buffer.from(sealed.slice('sealed:v1:'.length), 'base64').toString('latin1'), 'hush');
  t.not(box.seal('hush ☃', 'here'), sealed, 'the same text is never sealed alike');
  t.equal(again?.open(sealed, 'here'), 'hush ☃');
  const last = sealed.at(-5) === 'A' ? 'B' : 'A';
  const wrong = createSecretBox(systemRandom.bytes(32), '/other/key', systemRandom);
  const error = {
    code: 'InvalidOptions',
    message: /the key in \/other\/key does not open the secret of here/,
  };
  t.throws(() => wrong.open(sealed, 'here'), error);
  t.throws(() => box.open(sealed, 'there'), { message: /secret of there/ });
  t.throws(() => box.open(`${sealed.slice(0, -5)}${last}${sealed.slice(-4)}`, 'here'));
  for (const bad of ['sealed:v1:', 'sealed:v1:AAAA', 'hush']) t.throws(() => box.open(bad, 'here'), bad);
});

await t.test('key and token files are made once, whole, and for their owner only', async (t) => {
  const dir = t.testdir();
  const keyFile = join(dir, 'key');
  const tokenFile = join(dir, 'token');
  t.equal(await loadKeyFile(keyFile, systemRandom), undefined);
  t.equal(await loadToken(tokenFile), undefined);
  const boxes = await Promise.all(
    Array.from({ length: 8 }, () => loadOrCreateKeyFile(keyFile, systemRandom)),
  );
  const sealed = boxes[0]?.seal('x', 'here') ?? '';
  for (const box of boxes) t.equal(box.open(sealed, 'here'), 'x');
  const token = await loadOrCreateToken(tokenFile, systemRandom);
  t.match(token, /^[\w-]{43}$/);
  t.equal(await loadOrCreateToken(tokenFile, systemRandom), token);
  t.equal(await loadToken(tokenFile), token);
  t.same(readdirSync(dir).sort(), ['key', 'token'], 'no temporary file stays');
  for (const file of [keyFile, tokenFile]) t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(readFileSync(keyFile).length, 32);
});

await t.test('a key or token file that holds something else is refused by name', async (t) => {
  const dir = t.testdir({ key: 'short', token: 'short', directory: {} });
  const refusal = (file: string) => ({ code: 'InvalidOptions', message: new RegExp(join(dir, file)) });
  await t.rejects(loadOrCreateKeyFile(join(dir, 'key'), systemRandom), refusal('key'));
  await t.rejects(loadToken(join(dir, 'token')), refusal('token'));
  await t.rejects(loadToken(join(dir, 'directory')), refusal('directory'));
  writeFileSync(join(dir, 'token'), 'two words of a token');
  await t.rejects(loadToken(join(dir, 'token')), refusal('token'));
  chmodSync(join(dir, 'key'), 0o600);
  await t.rejects(loadOrCreateToken(join(dir, 'key', 'below'), systemRandom), { code: 'InvalidOptions' });
});

await t.test(
  'the secrets of a mount are sealed, opened by readers, and masked for everyone else',
  async (t) => {
    const box = createSecretBox(systemRandom.bytes(32), '/key', systemRandom);
    const isSecret = (name: string) => name === 'secretKey';
    const mount: Mount = {
      schema: 1,
      path: '/s3',
      ufsUri: 's3://bucket/',
      options: { region: 'r', secretKey: 'hush' },
    };
    const stored = encodeMount(sealMount(mount, box, isSecret));
    t.notMatch(stored, 'hush');
    const read = decodeMount('key', stored);
    t.same(unsealMount(read, box), mount);
    t.throws(() => unsealMount(read, undefined), {
      code: 'InvalidOptions',
      message: /set alluxio\.security\.key\.file/,
    });
    const masked = { region: 'r', secretKey: 'xxx' };
    t.same(maskMount(mount, isSecret).options, masked);
    t.same(maskMount(read, () => false).options, masked, 'what is sealed is masked whatever its name');
    t.throws(() => unsealMount({ ...read, path: '/other' }, box), 'a seal does not move to another mount');
  },
);
