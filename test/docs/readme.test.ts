/** What README.md tells a newcomer to type is what works. */

import { readFile } from 'node:fs/promises';
import { loadOptions } from '@alluxio-ts/common/options';
import { optionsTable } from '@alluxio-ts/common/options-table';
import t from 'tap';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]?.trim() ?? '');

t.test('the first block is the two commands, and both are scripts of the project', async (t) => {
  t.equal(blocks[0], 'npm ci\nnpm start');
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const [, script] of readme.matchAll(/npm run ([a-z:-]+)/g))
    t.ok(manifest.scripts[script ?? ''], `npm run ${script}`);
});

t.test('the first URL is where the sample is served by default', async (t) => {
  const options = loadOptions({ environment: {}, definitions: [], homeDir: '/none', workingDir: '/none' });
  t.match(blocks[1], `http://127.0.0.1:${options.get('alluxio.worker.rest.port')}/sample/hello.txt`);
});

t.test('every option that the documents name exists', async (t) => {
  const names = new Set<string>(optionsTable.map((row) => row.name));
  const mountOption = /^alluxio\.underfs\./;
  for (const page of ['README.md', 'docs/semantics.md', 'docs/http-api.md', 'docs/cli.md']) {
    const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8');
    for (const [name] of text.matchAll(/alluxio(?:\.[a-z0-9]+){2,}/g)) {
      if (/\.(properties|json)$/.test(name) || mountOption.test(name)) continue;
      t.ok(names.has(name), `${page}: ${name}`);
    }
  }
});

t.test('every page that a page links to exists', async (t) => {
  for (const page of [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'docs/semantics.md',
    'docs/http-api.md',
    'docs/cli.md',
  ]) {
    const url = new URL(`../../${page}`, import.meta.url);
    const text = await readFile(url, 'utf8');
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) {
      await t.resolves(
        readFile(new URL(target ?? '', url)).catch((thrown: NodeJS.ErrnoException) => {
          if (thrown.code !== 'EISDIR') throw thrown;
        }),
        `${page}: ${target}`,
      );
    }
  }
});
