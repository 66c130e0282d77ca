import { confPrefixOf } from '@alluxio-ts/common/protocol/conf-entities';
import t from 'tap';
import { startCoordinatorForTest, token } from './support/coordinator-for-test.ts';

/** As Alluxio's documents show it. */
const mapping = {
  mappingRules: {
    rules: [{ src: '^/a/b/c/(.*)$', dst: '/x/y/z/{{ var1 }}' }],
    virtualDirectories: ['/a/b'],
  },
};
const entity = { key: 'VirtualPathMappingEntity', conf: JSON.stringify(mapping) } as const;

await t.test('a configuration entity is put as by curl, replaced, listed and removed', async (t) => {
  const { url, client, clientWith, store } = await startCoordinatorForTest(t);
  t.same(await client.listConf(), []);
  const put = await fetch(`${url}/api/v1/conf`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(entity),
  });
  t.equal(put.status, 200);
  t.same(await put.json(), entity);
  const { entries } = await store.list(confPrefixOf('c'));
  t.equal(entries[0]?.key, '/alluxio-ts/c/conf/VirtualPathMappingEntity');
  t.same(JSON.parse(entries[0]?.value ?? ''), { schema: 1, conf: entity.conf });
  const other = { ...entity, conf: '{"mappingRules":{"rules":[],"ofLater":1}}' };
  await client.putConf(other);
  t.same(await clientWith({}).listConf(), [other], 'the text stays as it was given, and anybody may read it');
  t.same(await client.removeConf(entity.key), other);
  await t.rejects(client.removeConf(entity.key), { code: 'ConfNotFound' });
  const refusal = { code: 'Unauthenticated' };
  await t.rejects(clientWith({}).putConf(entity), refusal);
  await t.rejects(clientWith({}).removeConf(entity.key), refusal);
});

await t.test('what is no such entity is refused with its fault, and nothing is stored', async (t) => {
  const { client } = await startCoordinatorForTest(t);
  const ruleOf = (rule: object) => JSON.stringify({ mappingRules: { rules: [rule] } });
  const wrong: readonly (readonly [key: string, conf: string, RegExp])[] = [
    ['QuotaEntity', '{}', /key: no configuration entity has this key; known: VirtualPathMappingEntity/],
    ['../mounts/s3', '{}', /key: no configuration entity/],
    ['toString', '{}', /key: no configuration entity/],
    [entity.key, '{', /conf: is not JSON/],
    [entity.key, '{}', /conf\.mappingRules: /],
    [entity.key, '[]', /conf: /],
    [entity.key, ruleOf({ dst: '/x' }), /conf\.mappingRules\.rules\.0\.src: /],
    [entity.key, ruleOf({ src: 'a', dst: 'x' }), /conf\.mappingRules\.rules\.0\.dst: .*"\/"/],
    [
      entity.key,
      '{"mappingRules":{"rules":[],"virtualDirectories":"/a"}}',
      /conf\.mappingRules\.virtualDirectories: /,
    ],
    [entity.key, `${' '.repeat(64 * 1024)}${entity.conf}`, /conf: longer than 65536 bytes/],
  ];
  for (const [key, conf, message] of wrong) {
    await t.rejects(client.putConf({ key, conf } as typeof entity), { code: 'InvalidArgument', message });
  }
  t.same(await client.listConf(), []);
});
