import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { hasErrorCode } from '../src/errors.ts';
import { parseOptionValue } from '../src/option-values.ts';
import { formatOptionSource, loadOptions, type Options } from '../src/options.ts';
import { renderOptionsMarkdown } from '../src/options-markdown.ts';
import { type OptionRow, optionsTable } from '../src/options-table.ts';

const home = '/home/someone';

interface Given {
  readonly environment?: Readonly<Record<string, string>>;
  readonly definitions?: readonly string[];
  readonly workingDir?: string;
}

function load(given: Given = {}): Options {
  return loadOptions({
    environment: given.environment ?? {},
    definitions: given.definitions ?? [],
    homeDir: home,
    workingDir: given.workingDir ?? '/somewhere',
  });
}

function refused(t: Test, given: Given, pattern: RegExp): void {
  try {
    load(given);
  } catch (thrown) {
    t.ok(hasErrorCode(thrown, 'InvalidOptions'), 'the code is InvalidOptions');
    t.match(String(thrown), pattern);
    return;
  }
  t.fail(`not refused: ${pattern}`);
}

await t.test('without any source the defaults count, typed and with references put in', async (t) => {
  const options = load();
  const pageSizeBytes: number = options.get('alluxio.worker.page.store.page.size');
  const evictor: 'ADAPTIVE' | 'LFU' | 'LRU' | 'FIFO' = options.get('alluxio.worker.page.store.evictor.type');
  const roots: readonly string[] = options.get('alluxio.ufs.local.allowed.roots');
  const open: boolean = options.get('alluxio.security.admin.open');
  t.equal(pageSizeBytes, 4 * 1024 * 1024);
  t.equal(evictor, 'ADAPTIVE');
  t.same(roots, []);
  t.equal(open, false);
  t.equal(options.get('alluxio.cluster.name'), 'DefaultAlluxioCluster');
  t.equal(options.get('alluxio.work.dir'), `${home}/.alluxio-ts`);
  t.same(options.get('alluxio.worker.page.store.dirs'), [`${home}/.alluxio-ts/pages`]);
  t.same(options.get('alluxio.worker.page.store.sizes'), [10 * 1024 ** 3]);
  t.equal(options.get('alluxio.worker.metadata.stale.if.error.max'), 3_600_000);
  t.equal(options.entryOf('alluxio.worker.page.store.page.size').maskedText, '4MB');
  t.equal(options.entries.length, optionsTable.length);
});

await t.test(
  'file, environment and -D beat each other in this order, and each value names its source',
  async (t) => {
    const dir = t.testdir({
      'alluxio-site.properties': [
        '# a comment = nothing',
        '',
        'alluxio.coordinator.web.port = 1001',
        'alluxio.worker.rest.port=1002',
        'alluxio.worker.web.port=1003\r',
        'alluxio.ufs.local.allowed.roots=data, /srv',
      ].join('\n'),
    });
    const options = load({
      environment: {
        ALLUXIO_CONF_DIR: dir,
        ALLUXIO_WORKER_REST_PORT: '2002',
        ALLUXIO_WORKER_WEB_PORT: '2003',
      },
      definitions: ['alluxio.worker.web.port=3000', 'alluxio.worker.web.port=3003'],
    });
    t.equal(options.get('alluxio.coordinator.web.port'), 1001);
    t.equal(options.get('alluxio.worker.rest.port'), 2002);
    t.equal(options.get('alluxio.worker.web.port'), 3003);
    t.same(options.get('alluxio.ufs.local.allowed.roots'), [join(dir, 'data'), '/srv']);
    const sourceOf = (name: string) => formatOptionSource(options.entryOf(name).source);
    t.equal(
      sourceOf('alluxio.coordinator.web.port'),
      `SITE_PROPERTY (${join(dir, 'alluxio-site.properties')})`,
    );
    t.equal(sourceOf('alluxio.worker.rest.port'), 'ENVIRONMENT (ALLUXIO_WORKER_REST_PORT)');
    t.equal(sourceOf('alluxio.worker.web.port'), 'SYSTEM_PROPERTY');
    t.equal(sourceOf('alluxio.log.level'), 'DEFAULT');
    t.equal(sourceOf('alluxio.conf.dir'), 'ENVIRONMENT (ALLUXIO_CONF_DIR)');
  },
);

await t.test('the site file of the work directory is read, and may not move itself', async (t) => {
  const dir = t.testdir({ 'alluxio-site.properties': 'alluxio.work.dir=/elsewhere' });
  const options = load({ environment: { ALLUXIO_CONF_DIR: dir } });
  t.equal(options.get('alluxio.work.dir'), '/elsewhere');
  t.equal(options.get('alluxio.conf.dir'), dir);
  t.equal(options.get('alluxio.security.key.file'), '/elsewhere/secret.key');
  const work = t.testdir({ 'alluxio-site.properties': 'alluxio.log.level=WARN' });
  t.equal(load({ definitions: [`alluxio.work.dir=${work}`] }).get('alluxio.log.level'), 'warn');
  writeFileSync(join(work, 'alluxio-site.properties'), 'alluxio.conf.dir=/x');
  refused(t, { definitions: [`alluxio.work.dir=${work}`] }, /line 1 sets alluxio\.conf\.dir/);
  refused(
    t,
    { environment: { ALLUXIO_CONF_DIR: join(dir, 'none') } },
    /alluxio-site\.properties cannot be read \(ENOENT\)/,
  );
});

await t.test('a value may be the text of a file or of an environment variable', async (t) => {
  const dir = t.testdir({ name: 'from-file\n' });
  t.equal(
    load({ definitions: ['alluxio.cluster.name=@name'], workingDir: dir }).get('alluxio.cluster.name'),
    'from-file',
  );
  t.equal(
    load({ environment: { ALLUXIO_CLUSTER_NAME: 'env:NAME_OF_MINE', NAME_OF_MINE: 'from-env' } }).get(
      'alluxio.cluster.name',
    ),
    'from-env',
  );
  refused(t, { definitions: ['alluxio.cluster.name=env:NOT_SET'] }, /variable NOT_SET, which is not set/);
  refused(
    t,
    { definitions: ['alluxio.cluster.name=@none'], workingDir: dir },
    /none cannot be read \(ENOENT\)/,
  );
  refused(t, { definitions: ['alluxio.work.dir=${alluxio.conf.dir}'] }, /refer to each other/);
  refused(t, { definitions: ['alluxio.work.dir=${alluxio.wrk.dir}'] }, /did you mean alluxio\.work\.dir\?/);
  mkdirSync(join(dir, 'big'));
  writeFileSync(join(dir, 'big', 'alluxio-site.properties'), '#'.repeat(1024 * 1024 + 1));
  refused(t, { environment: { ALLUXIO_CONF_DIR: join(dir, 'big') } }, /holds more than 1\.00MB/);
});

await t.test('an unknown name is refused with the nearest known one, without its value', async (t) => {
  refused(
    t,
    { definitions: ['alluxio.worker.page.store.pagesize=hush'] },
    /^(?!.*hush).*there is no option alluxio\.worker\.page\.store\.pagesize; did you mean alluxio\.worker\.page\.store\.page\.size\?/,
  );
  refused(t, { definitions: ['alluxio.worker.rest.port'] }, /write -Dname=value/);
  t.throws(() => load().entryOf('alluxio.cluster.nam'), /did you mean alluxio\.cluster\.name\?/);
  const options = load({ environment: { ALLUXIO_CLUSTER_NAM: 'x', ALLUXIO_SERVICE_HOST: '10.0.0.1' } });
  t.match(options.notices[0], /ALLUXIO_CLUSTER_NAM names no option and is ignored; did you mean ALLUXIO_/);
  t.equal(options.notices.length, 2);
});

await t.test(
  'an unknown name in the site file is a notice, since the file may come from an Alluxio cluster',
  async (t) => {
    const dir = t.testdir({
      'alluxio-site.properties': [
        'alluxio.user.network.secret=hush',
        'alluxio.clustr.name=x',
        'alluxio.cluster.name=mine',
      ].join('\n'),
    });
    const options = load({ environment: { ALLUXIO_CONF_DIR: dir } });
    const file = join(dir, 'alluxio-site.properties');
    t.equal(options.get('alluxio.cluster.name'), 'mine');
    t.same(options.notices, [
      `${file} line 1: there is no option alluxio.user.network.secret, so it is ignored`,
      `${file} line 2: there is no option alluxio.clustr.name, so it is ignored; did you mean alluxio.cluster.name?`,
    ]);
  },
);

await t.test('a value that breaks its type or bounds is refused with what it may be', async (t) => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['alluxio.worker.page.store.page.size=3MB', /"3MB" is not a power of two from 64KB to 64MB/],
    ['alluxio.worker.page.store.page.size=32KB', /from 64KB to 64MB/],
    ['alluxio.worker.page.store.page.size=128MB', /from 64KB to 64MB/],
    ['alluxio.worker.page.store.page.size=big', /"big" is not a size such as/],
    ['alluxio.worker.page.store.sizes=1KB', /"1KB" is not at least 64MB/],
    ['alluxio.worker.rest.port=65536', /from 0 to 65535/],
    ['alluxio.worker.rest.port=1e3', /not a whole number/],
    ['alluxio.worker.metadata.default.max.age=soon', /not a duration/],
    ['alluxio.security.admin.open=yes', /neither true nor false/],
    ['alluxio.log.level=loud', /not one of debug, info, warn, error, silent/],
  ];
  for (const [definition, pattern] of rows) refused(t, { definitions: [definition] }, pattern);
  t.equal(load({ definitions: ['alluxio.worker.rest.port=0'] }).get('alluxio.worker.rest.port'), 0);
});

await t.test('a broken relation is refused with its reason', async (t) => {
  refused(t, { definitions: ['alluxio.worker.direct.memory.size=15MB'] }, /make it at least 4 pages/);
  t.ok(load({ definitions: ['alluxio.worker.direct.memory.size=16MB'] }));
  refused(t, { definitions: ['alluxio.worker.page.store.dirs=/a,/b'] }, /as many sizes as directories/);
  refused(
    t,
    { definitions: ['alluxio.worker.page.store.dirs=/a,/a/', 'alluxio.worker.page.store.sizes=1GB,1GB'] },
    /name each directory once/,
  );
  refused(t, { definitions: ['alluxio.worker.rest.port=19999'] }, /make them differ/);
  const anyPorts = ['alluxio.worker.rest.port=0', 'alluxio.worker.web.port=0'];
  t.ok(load({ definitions: anyPorts }), 'two free ones do not clash');
});

await t.test('a malformed secret is not shown', async (t) => {
  const row: OptionRow = {
    name: 'alluxio.test',
    type: 'integer',
    default: '',
    secret: true,
    help: 'A secret.',
    readBy: [],
  };
  const context = { where: 'alluxio.test', toPath: (text: string) => text };
  t.throws(() => parseOptionValue(row, 'hush', context), { message: 'alluxio.test: has a malformed value' });
  t.match(renderOptionsMarkdown([row]), /Secret: never printed/);
});

await t.test('the documentation has one line an option', async (t) => {
  const markdown = renderOptionsMarkdown();
  for (const row of optionsTable) t.ok(markdown.includes(`| \`${row.name}\`<br>`), row.name);
  t.match(markdown, /`ALLUXIO_WORKER_PAGE_STORE_PAGE_SIZE` \| size \| `4MB` \| a power of two from 64KB/);
});
