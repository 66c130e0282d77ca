/**
 * What the page store costs: bytes and time an index entry, CPU a GiB put and got, time to open.
 * `node bench/page-store.bench.ts [directory]`; writes half a GiB below the directory and removes it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { type PageId, fileKeyOf } from '@alluxio-ts/common/page';
import { GIB, KIB, MIB } from '@alluxio-ts/common/units';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';
import { PageList, PageTable, noEntry } from '@alluxio-ts/worker/page-store/page-table';

const dir = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'page-store-bench-'));
try {
  benchIndex(1_000_000);
  await benchStore({ name: '4 MiB pages', lengthBytes: 4 * MIB, pageCount: 128 });
  await benchStore({ name: '4 KiB pages', lengthBytes: 4 * KIB, pageCount: 10_000 });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function benchIndex(count: number): void {
  const table = new PageTable();
  const list = new PageList();
  const ids: PageId[] = Array.from({ length: count }, (_, number) => idOf(number));
  const place = {
    segmentId: 1,
    recordOffsetBytes: 4096,
    dataStartBytes: 8192,
    lengthBytes: 1,
    checksumIndex: 0,
  };
  const insertNs = timeNs(count, (at) => table.insert(ids[at] as PageId, place, list));
  const getNs = timeNs(count, (at) => table.find(ids[(at * 7919) % count] as PageId) !== noEntry);
  print('index of 1 M pages', { bytesPerPage: table.memoryBytes / count, insertNs, getNs });
}

function idOf(number: number): PageId {
  const word = (salt: number): number => Math.imul(number + salt, 0x9e37_79b1) >>> 0;
  return { file: { a: word(1), b: word(77), c: word(991) }, index: 0 };
}

function timeNs(count: number, body: (at: number) => unknown): number {
  const start = process.hrtime.bigint();
  for (let at = 0; at < count; at++) body(at);
  return Number(process.hrtime.bigint() - start) / count;
}

async function benchStore(bench: {
  readonly name: string;
  readonly lengthBytes: number;
  readonly pageCount: number;
}): Promise<void> {
  const { lengthBytes, name, pageCount } = bench;
  const folder = join(dir, name.replaceAll(' ', '-'));
  const bytes = systemRandom.bytes(lengthBytes);
  const origins = Array.from({ length: pageCount }, (_, number) => ({
    ufsPath: `s3://bucket/${number}`,
    version: '"v"',
    pageSizeBytes: 4 * MIB,
  }));
  let store = await openStore(folder);
  const putCpu = await cpuSeconds(async () => {
    for (const origin of origins) {
      const writer = store.openWriter({ file: fileKeyOf(origin), index: 0 }, origin, lengthBytes);
      await writer?.write(bytes);
      writer?.finish();
    }
  });
  const getCpu = await cpuSeconds(async () => {
    for (const origin of origins) {
      const handle = store.get({ file: fileKeyOf(origin), index: 0 });
      await handle?.read(0, lengthBytes);
      handle?.release();
    }
  });
  const found = store.stats().pageCount;
  await store.close();
  const startMs = performance.now();
  store = await openStore(folder);
  const openMs = performance.now() - startMs;
  await store.close();
  const gib = (pageCount * lengthBytes) / GIB;
  print(name, {
    found,
    putCpuPerGib: putCpu / gib,
    putCpuUsPerPage: (putCpu / pageCount) * 1e6,
    getCpuPerGib: getCpu / gib,
    getCpuUsPerPage: (getCpu / pageCount) * 1e6,
    openMs,
  });
}

function openStore(folder: string): Promise<DiskPageStore> {
  return DiskPageStore.open({
    dir: folder,
    sizeBytes: 8 * GIB,
    pageSizeBytes: 4 * MIB,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    policy: lruPolicy,
  });
}

async function cpuSeconds(body: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await body();
  const { system, user } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function print(name: string, numbers: Readonly<Record<string, number>>): void {
  const text = Object.entries(numbers).map(([key, value]) => `${key} ${Number(value.toPrecision(3))}`);
  console.log(`${name}: ${text.join(', ')}`);
}
