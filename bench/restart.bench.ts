/**
 * How soon a page store is there again after `kill -9`, with so many pages: `node bench/restart.bench.ts [pages, 200000] [directory]`. A process fills a store and is killed in the middle of
 * writing; the kernel's cache is dropped (root) and another process opens the store and reads a page. Pages are small files of 4 KiB (in records of 8 KiB); writes 1.6 GiB below the directory and removes it.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { fileKeyOf, type PageOrigin } from '@alluxio-ts/common/page';
import { GIB, KIB, MIB } from '@alluxio-ts/common/units';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';

const lengthBytes = 4 * KIB;
const pageSizeBytes = 4 * MIB;
const script = new URL(import.meta.url).pathname;
const [role = '200000', dir = tmpdir(), count = ''] = process.argv.slice(2);

if (role === 'fill') await fill(dir, Number(count));
else if (role === 'open') await openAndRead(dir, Number(count));
else await bench(Number(role), mkdtempSync(join(dir, 'restart-bench-')));

async function bench(pageCount: number, root: string): Promise<void> {
  try {
    const filler = spawn(process.execPath, [script, 'fill', root, String(pageCount)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(filler, 'exit');
    // It says so when the pages are in, and goes on writing until it is killed.
    await once(createInterface({ input: filler.stdout }), 'line');
    filler.kill('SIGKILL');
    await ended;
    for (let round = 0; round < 3; round++) {
      const cache = dropCaches();
      const report = execFileSync(process.execPath, [script, 'open', root, String(pageCount)], {
        encoding: 'utf8',
      });
      console.log(`kernel's cache ${cache}: ${report.trim()}`);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function dropCaches(): string {
  try {
    execFileSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return 'dropped';
  } catch {
    return 'kept (not root)';
  }
}

async function fill(root: string, pageCount: number): Promise<void> {
  const store = await open(root);
  const bytes = systemRandom.bytes(lengthBytes);
  for (let first = 0; ; first += 64) {
    const numbers = Array.from({ length: 64 }, (_, at) => first + at);
    await Promise.all(numbers.map((number) => put(store, originOf(number), bytes)));
    if (first >= pageCount && first < pageCount + 64) process.stdout.write('filled\n');
  }
}

async function put(store: DiskPageStore, origin: PageOrigin, bytes: Uint8Array): Promise<void> {
  const writer = store.openWriter({ file: fileKeyOf(origin), index: 0 }, origin, bytes.length);
  await writer?.write(bytes);
  writer?.finish();
}

async function openAndRead(root: string, pageCount: number): Promise<void> {
  const startMs = performance.now();
  const store = await open(root);
  const openMs = performance.now() - startMs;
  const handle = store.get({ file: fileKeyOf(originOf(pageCount >> 1)), index: 0 });
  const bytes = await handle?.read(0, lengthBytes);
  const hitMs = performance.now() - startMs;
  const { pageCount: found } = store.stats();
  console.log(
    `${found} pages in ${store.segmentCount} segments, index after ${openMs.toFixed(0)} ms, first hit (${bytes?.length ?? 0} bytes) after ${hitMs.toFixed(0)} ms`,
  );
  handle?.release();
  await store.close();
}

function originOf(number: number): PageOrigin {
  return {
    ufsPath: `s3://bucket/training/images/${number}.jpg`,
    version: '"0123456789abcdef"',
    pageSizeBytes,
  };
}

function open(root: string): Promise<DiskPageStore> {
  return DiskPageStore.open({
    dir: root,
    sizeBytes: 16 * GIB,
    pageSizeBytes,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    policy: lruPolicy,
  });
}
