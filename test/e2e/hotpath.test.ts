/** The hot path in its real place: what the parts of a worker know makes it forget. */

import { writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { loadToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock } from '@alluxio-ts/common/clock';
import t, { type Test } from 'tap';
import type { Standalone } from '../../packages/cli/src/standalone.ts';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

interface Rig {
  readonly running: Standalone;
  readonly file: string;
  /** Status and outcome of a GET, whether the table gave it, and its body. */
  read(): Promise<Read>;
}

interface Read {
  readonly status: number;
  readonly outcome: string | undefined;
  readonly isFromTable: boolean;
  readonly body: string;
}

async function withStandalone(t: Test, use: (rig: Rig) => Promise<void>): Promise<void> {
  const dir = workDirOf(t, { data: { 'a.txt': 'first' }, work: {} });
  const { standalone, stop } = await startTestStandalone({
    workDir: join(dir, 'work'),
    mounts: [{ path: '/data', ufsUri: join(dir, 'data'), options: {} }],
    definitions: ['alluxio.worker.transport=hotpath', 'alluxio.ttl.eviction.check.interval=1s'],
  });
  try {
    await use({
      running: standalone,
      file: join(dir, 'data', 'a.txt'),
      read: () => readFrom(standalone.worker.s3Port, '/data/a.txt'),
    });
  } finally {
    await stop();
  }
}

function readFrom(port: number, path: string): Promise<Read> {
  return new Promise((resolve, reject) => {
    const headers = { connection: 'keep-alive' };
    const request = httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          outcome: String(response.headers['x-alluxio-cache']),
          isFromTable: /h[0-9a-f]{8}$/.test(String(response.headers['x-amz-request-id'])),
          body,
        });
        request.destroy();
      });
    });
    request.on('error', reject);
    request.end();
  });
}

/** Reads until the table gives the answer: a hit after the first, which may come while the page is still being written. */
async function warm(read: Rig['read']): Promise<Read> {
  let last = await read();
  for (let count = 0; count < 1000 && !last.isFromTable; count++) last = await read();
  return last;
}

if (isHotpathBuilt()) {
  t.test('a hit comes from the table, until somebody frees the file or its pages', async (t) => {
    await withStandalone(t, async ({ file, read, running }) => {
      t.match(await read(), { outcome: 'miss', isFromTable: false, body: 'first' });
      t.match(await warm(read), { status: 200, outcome: 'hit', isFromTable: true, body: 'first' });

      writeFileSync(file, 'second');
      t.match(
        await read(),
        { isFromTable: true, body: 'first' },
        'within its age a file is taken as unchanged',
      );
      await running.worker.cacheControl.free('/data/a.txt');
      t.match(await read(), { outcome: 'miss', isFromTable: false, body: 'second' });
      t.match(await warm(read), { isFromTable: true, body: 'second' });

      await running.worker.cacheControl.free('/data');
      t.match(await read(), { outcome: 'miss', isFromTable: false });
    });
  });

  t.test('what the table answers counts like any other read', async (t) => {
    await withStandalone(t, async ({ read, running }) => {
      await warm(read);
      const scrape = async (): Promise<string> => {
        const response = await fetch(`http://127.0.0.1:${running.worker.webPort}/metrics`);
        return response.text();
      };
      const valueOf = (text: string, series: RegExp): number => {
        const line = text.split('\n').find((one) => series.test(one));
        return Number(line?.split(' ').at(-1) ?? 0);
      };
      const all = {
        pages: /^alluxio_read_pages_total\{outcome="hit"/,
        calls: /^alluxio_s3_api_call_latency_ms_count\{.*method="GetObject",success="true",status="200"/,
        quick:
          /^alluxio_s3_api_call_latency_ms_bucket\{le="\+Inf".*method="GetObject",success="true",status="200"/,
        bytes: /^alluxio_data_throughput_bytes_total\{.*destination="s3"/,
      };
      const counted = async (): Promise<readonly number[]> => {
        const text = await scrape();
        return Object.values(all).map((series) => valueOf(text, series));
      };
      const before = await counted();
      for (let count = 0; count < 10; count++) t.match(await read(), { isFromTable: true });
      let grown: readonly number[] = [];
      while (grown[1] !== 10) {
        grown = (await counted()).map((value, index) => value - (before[index] ?? 0));
        t.ok((grown[1] ?? 0) <= 10);
      }
      t.strictSame(grown, [10, 10, 10, 50]);
    });
  });

  t.test('a mount that went takes its answers along', async (t) => {
    await withStandalone(t, async ({ read, running }) => {
      t.match(await warm(read), { isFromTable: true });
      await running.coordinator.mounts.remove('/data');
      let last = await read();
      // The worker hears of it a moment later.
      for (let count = 0; count < 1000 && last.status === 200; count++) last = await read();
      t.match(last, { status: 404, isFromTable: false });
    });
  });

  t.test('a rule of the state store takes its answers along, in standalone too', async (t) => {
    await withStandalone(t, async ({ file, read, running }) => {
      t.match(await warm(read), { isFromTable: true });
      const token = await loadToken(running.tokenFile);
      const { port } = running.coordinator;
      const client = new CoordinatorClient({ host: '127.0.0.1', port, ...(token ? { token } : {}) });
      t.teardown(() => client.close());
      await client.putRule({ pattern: `file://${file}`, data: 'skipCache' });
      let last = await read();
      // The worker hears of it a moment later.
      for (let count = 0; count < 1000 && last.outcome !== 'bypass-filter'; count++) last = await read();
      t.match(last, { outcome: 'bypass-filter', isFromTable: false });
      t.match(await read(), { outcome: 'bypass-filter', isFromTable: false });
      await client.removeRule(`file://${file}`);
      for (let count = 0; count < 1000 && last.outcome !== 'hit'; count++) last = await read();
      t.match(await warm(read), { isFromTable: true, outcome: 'hit' });
    });
  });

  t.test('a file whose time is over goes from the table too', async (t) => {
    await withStandalone(t, async ({ read, running }) => {
      t.match(await warm(read), { isFromTable: true });
      const token = await loadToken(running.tokenFile);
      const { port } = running.coordinator;
      const client = new CoordinatorClient({ host: '127.0.0.1', port, ...(token ? { token } : {}) });
      t.teardown(() => client.close());
      await client.putTtlRule({ path: '/data/', time: '1s' });
      let last = await read();
      for (; last.outcome === 'hit'; last = await read()) await systemClock.sleep(20);
      t.match(last, { outcome: 'miss', isFromTable: false });
    });
  });

  t.test('a record that went takes its answers along, and its pages stay', async (t) => {
    await withStandalone(t, async ({ read, running }) => {
      t.match(await warm(read), { isFromTable: true });
      const mount = running.worker.mounts.get('/data');
      if (!mount) throw new Error('the mount is there');
      running.worker.cache.files.forget({ mount, key: 'a.txt', ufsPath: `${mount.uri.text}/a.txt` });
      t.match(await read(), { isFromTable: false, outcome: 'hit' }, 'the record went, the page stayed');
    });
  });
} else {
  t.pass('the addon was not built: there is no cargo here');
}
