/** Pages over the REST API, whole and in pieces: the same by either transport, whoever gives them. */

import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '@alluxio-ts/common/units';
import t, { type Test } from 'tap';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { segmentPaths } from '../../packages/worker/test/page-store-fixture.ts';
import { flipOnDevice } from '../soak/direct-file.ts';
import { metricOf, startTestStandalone, type TestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const pageBytes = 4 * MIB;
const content = Buffer.from(
  Uint8Array.from({ length: 2 * pageBytes + 1007 }, (_, at) => (at * 31 + (at >> 9)) & 255),
);

interface Rig {
  readonly running: TestStandalone;
  readonly dir: string;
  ask(page: number, query?: string, init?: RequestInit): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  /** What is not of the one request, in the order of names. */
  readonly headers: readonly (readonly [string, string])[];
  readonly outcome: string | null;
  readonly isFromTable: boolean;
  readonly bytes: Buffer;
}

const ofOneRequest = new Set(['date', 'x-request-id', 'x-alluxio-cache', 'connection', 'keep-alive']);

async function withRig(t: Test, transport: string, use: (rig: Rig) => Promise<void>): Promise<void> {
  const dir = workDirOf(t, { data: {}, work: {} });
  const file = join(dir, 'data', 'a b.bin');
  writeFileSync(file, content);
  const running = await startTestStandalone({
    workDir: join(dir, 'work'),
    mounts: [{ path: '/data', ufsUri: join(dir, 'data'), options: {} }],
    definitions: [`alluxio.worker.transport=${transport}`, 'alluxio.worker.metadata.default.max.age=1h'],
  });
  const ask = async (page: number, query = '', init: RequestInit = {}): Promise<Answer> => {
    const path = `ufsFullPath=${encodeURIComponent(`file://${file}`)}`;
    const all = query === '' ? path : `${query}&${path}`;
    const response = await fetch(`${running.rest}/v1/file/any/page/${page}?${all}`, init);
    const { headers, status } = response;
    return {
      status,
      headers: [...headers]
        .filter(([name]) => !ofOneRequest.has(name))
        .toSorted(([one], [other]) => (one < other ? -1 : 1)),
      outcome: headers.get('x-alluxio-cache'),
      isFromTable: /h[0-9a-f]{8}$/.test(headers.get('x-request-id') ?? ''),
      bytes: Buffer.from(await response.arrayBuffer()),
    };
  };
  try {
    await use({ running, dir, ask });
  } finally {
    await running.stop();
  }
}

/** Once its pages are kept, by what may be the table. */
async function warm({ ask, running }: Rig): Promise<void> {
  for (let pass = 0; pass < 3; pass++) {
    for (const page of [0, 1, 2]) await ask(page);
    await running.standalone.worker.cache.idle();
  }
}

/** Page, query, and the bytes of the file that it names. */
const pieces: readonly (readonly [number, string, number, number])[] = [
  [0, '', 0, pageBytes],
  [1, '', pageBytes, 2 * pageBytes],
  [2, '', 2 * pageBytes, content.length],
  [0, 'offset=0&length=4096', 0, 4096],
  [1, 'length=4096&offset=12288', pageBytes + 12_288, pageBytes + 16_384],
  [1, `offset=${pageBytes - 10}`, 2 * pageBytes - 10, 2 * pageBytes],
  [1, `offset=${pageBytes - 10}&length=4096`, 2 * pageBytes - 10, 2 * pageBytes],
  [2, 'offset=1000&length=1048576', 2 * pageBytes + 1000, content.length],
  [0, 'length=1048576', 0, MIB],
];

for (const transport of ['plain', ...(isHotpathBuilt() ? ['hotpath'] : [])]) {
  const isNative = transport === 'hotpath';

  t.test(`${transport}: a page and pieces of it, the first time and after`, async (t) => {
    await withRig(t, transport, async (rig) => {
      const first = new Map<string, Answer>();
      for (const [page, query] of pieces) first.set(`${page} ${query}`, await rig.ask(page, query));
      await warm(rig);
      for (const [page, query, from, to] of pieces) {
        const name = `${page} ${query}`;
        const [before, answer] = [first.get(name), await rig.ask(page, query)];
        t.strictSame(
          [answer.status, answer.headers, answer.outcome, answer.isFromTable],
          [200, before?.headers, 'hit', isNative],
          name,
        );
        t.ok(answer.bytes.equals(content.subarray(from, to)), name);
        t.ok(before?.bytes.equals(answer.bytes), 'as it was the first time');
        const head = await rig.ask(page, query, { method: 'HEAD' });
        t.strictSame(
          [head.status, head.headers, head.outcome, head.bytes.length],
          [200, before?.headers, null, 0],
          `HEAD ${name}`,
        );
      }
    });
  });

  t.test(`${transport}: what is no piece of the page is answered as ever`, async (t) => {
    await withRig(t, transport, async (rig) => {
      await warm(rig);
      for (const query of [`offset=${pageBytes}`, 'offset=5&length=0']) {
        const answer = await rig.ask(0, query);
        t.match(
          { ...answer, bytes: answer.bytes.length },
          { status: 200, isFromTable: false, bytes: 0 },
          query,
        );
      }
      for (const query of ['offset=-1', 'offset=x', 'length=1e3', 'offset=1000000000000000']) {
        t.match(await rig.ask(0, query), { status: 400, isFromTable: false }, query);
      }
      t.match(await rig.ask(3), { status: 404, isFromTable: false });
      const twice = await rig.ask(0, 'offset=1&offset=2&length=3');
      t.ok(twice.bytes.equals(content.subarray(2, 5)), 'of two the last counts');
      for (const headers of [{ range: 'bytes=1-2' }, { 'if-none-match': '"x"' }]) {
        const answer = await rig.ask(0, 'length=9', { headers });
        t.match(answer, { status: 200, isFromTable: false });
        t.ok(answer.bytes.equals(content.subarray(0, 9)), 'the query alone says what is wanted');
      }
    });
  });

  t.test(`${transport}: bits that flip on the device never reach who asks for pages`, async (t) => {
    await withRig(t, transport, async (rig) => {
      const [path = ''] = segmentPaths(join(rig.dir, 'work', 'pages'));
      for (const part of [0.1, 0.4, 0.9]) {
        await warm(rig);
        const [segment = path] = segmentPaths(join(rig.dir, 'work', 'pages'));
        const offset = Math.floor((statSync(segment).size / 3) * part) + pageBytes / 2;
        flipOnDevice(segment, [{ offset, bit: 2 }]);
        for (const [page, query, from, to] of pieces) {
          const { bytes, status } = await rig.ask(page, query);
          t.ok(status === 200 && bytes.equals(content.subarray(from, to)), `${part}: ${page} ${query}`);
        }
      }
      t.ok(
        (await metricOf(rig.running.web, 'alluxio_page_store_corrupt_pages_total')) > 0,
        'some were found',
      );
    });
  });
}

if (isHotpathBuilt()) {
  t.test('who frees the file takes its pages from the table, and what it answers counts', async (t) => {
    await withRig(t, 'hotpath', async (rig) => {
      await warm(rig);
      t.match(await rig.ask(1, 'length=7'), { isFromTable: true });
      const text = await (await fetch(`${rig.running.web}/metrics`)).text();
      t.match(
        text,
        /alluxio_rest_api_call_latency_ms_count\{method="file",success="true",status="200"\} \d+/,
      );
      await rig.running.standalone.worker.cacheControl.free('/data/a b.bin');
      t.match(await rig.ask(1, 'length=7'), { isFromTable: false, outcome: 'miss' });
    });
  });
}
