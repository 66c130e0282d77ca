import { strict as assert } from 'node:assert';
import { closeSync, openSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { PageHandle, Part } from '@alluxio-ts/common/body';
import { textBody } from '@alluxio-ts/common/body';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import { HotpathTransport, hotpathTransportDefaults } from '@alluxio-ts/transport/hotpath-transport';
import type { AnsweredRequest, ReusableAnswer, TransportRequest } from '@alluxio-ts/transport/page-transport';
import { plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import type { TableCalls, TableReport } from '@alluxio-ts/transport/table-report';
import t, { type Test } from 'tap';
import { flipOnDevice } from '../../../test/soak/direct-file.ts';
import { startHangingDisk } from '../../../test/support/hanging-disk.ts';
import { RawClient } from './support/raw-client.ts';
import { describeRawRequests } from './support/raw-suite.ts';
import { describeTransport } from './support/transport-conformance.ts';

const pageSizeBytes = 256 * 1024;
const sizeBytes = 3 * pageSizeBytes - 1000;
const fileKey = { a: 1, b: 2, c: 3 };

function makeTransport(
  slots: SlotPool,
  onTableReport: (report: TableReport) => void = () => undefined,
  answersMax: number = plainTransportDefaults.answersMax,
): HotpathTransport {
  return new HotpathTransport({
    ...plainTransportDefaults,
    ...hotpathTransportDefaults,
    answersMax,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    slots,
    onAnswered: () => undefined,
    onTableReport,
    timeBoundsMs: [1, 10, 60_000],
    reportsAnswers: true,
  });
}

/** A surface with one file in a segment that really is on disk, and what a test may change about it. */
class OneFile {
  segment: string;
  readonly bytes: Buffer;
  /** Targets that came up. */
  readonly asked: string[] = [];
  /** Of them, what was to be renewed. */
  readonly renewed: (number | undefined)[] = [];
  /** What the answers wait for. */
  gate: Promise<void> = Promise.resolve();
  isReusable = true;
  ageMs = 60_000;
  etag = '"v1"';
  /** A header of every answer. */
  note = '\u00e9';
  openBodyCount = 0;

  constructor(dir: string) {
    this.segment = join(dir, 'a.seg');
    this.bytes = Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8)) & 255));
    writeFileSync(this.segment, Buffer.concat([Buffer.alloc(4096), this.bytes]));
  }

  readonly handler = async (
    request: TransportRequest,
  ): ReturnType<Parameters<HotpathTransport['listen']>[0]['handler']> => {
    this.asked.push(`${request.method} ${request.headers.get('range') ?? 'all'}`);
    this.renewed.push(request.renewAheadMs);
    await this.gate;
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get('range') ?? '');
    const [from, to] = match ? [Number(match[1]), Number(match[2]) + 1] : [0, sizeBytes];
    if (request.method === 'GET') this.openBodyCount++;
    if (request.method !== 'GET') return { status: 200, headers: [], body: textBody('') };
    return {
      status: match ? 206 : 200,
      headers: [['etag', this.etag]],
      body: {
        kind: 'parts',
        lengthBytes: to - from,
        next: async (offset) => this.#part(from + offset, to),
        close: () => this.openBodyCount--,
      },
      reusable: () => (this.isReusable ? this.#reusable(from) : undefined),
    };
  };

  #part(at: number, to: number): Part {
    const index = Math.floor(at / pageSizeBytes);
    const start = index * pageSizeBytes;
    return {
      kind: 'extent',
      handle: this.#handle(start, Math.min(sizeBytes, start + pageSizeBytes)),
      from: at - start,
      to: Math.min(pageSizeBytes, to - start),
    };
  }

  #handle(start: number, end: number): PageHandle {
    return {
      lengthBytes: end - start,
      native: {
        segmentId: 1,
        path: this.segment,
        offset: 4096 + start,
        lengthBytes: end - start,
        checksums: checksumsOf(this.bytes.subarray(start, end)),
      },
      read: async (from, to) => {
        return Uint8Array.from(this.bytes.subarray(start + from, start + to));
      },
      release: () => undefined,
    };
  }

  #reusable(bodyFrom: number): ReusableAnswer {
    return {
      fileKey,
      sizeBytes,
      pageSizeBytes,
      bodyFrom,
      freshUntilMs: systemClock.monotonic() + this.ageMs,
      etag: this.etag,
      headers: [
        ['etag', this.etag],
        ['x-note', this.note],
      ],
      bodyHeaders: [['x-alluxio-cache', 'hit']],
      requestIdHeader: 'x-amz-request-id',
    };
  }
}

function checksumsOf(page: Uint8Array): Uint32Array {
  const blocks = Array.from({ length: Math.ceil(page.length / 65_536) }, (_, block) =>
    crc32(page.subarray(block * 65_536, (block + 1) * 65_536)),
  );
  return Uint32Array.from(blocks);
}

interface Rig {
  readonly file: OneFile;
  readonly port: number;
  readonly transport: HotpathTransport;
  /** What the table has told once it has answered so often. */
  toldOf(answerCount: number): Promise<Told>;
  get(headers?: Readonly<Record<string, string>>, method?: string): Promise<Answer>;
}

/** Reports since the beginning. */
class Told {
  readonly answers: AnsweredRequest[] = [];
  /** Of pages, by their index. */
  readonly useCounts: number[] = [];
  readonly calls: TableCalls[] = [];
  bodyBytes = 0;

  add({ answers, calls, listeners, pages }: TableReport): void {
    this.answers.push(...answers);
    this.calls.push(...calls);
    for (const { bodyBytes } of listeners) this.bodyBytes += bodyBytes;
    for (const { count, page } of pages) {
      assert.deepEqual(page.file, fileKey);
      this.useCounts[page.index] = (this.useCounts[page.index] ?? 0) + count;
    }
  }

  /** How many calls of each kind there were. */
  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { bucketCounts, isComplete, method, status } of this.calls) {
      const name = `${method} ${status}${isComplete ? '' : ' broken'}`;
      counts[name] = bucketCounts.reduce((sum, count) => sum + count, counts[name] ?? 0);
    }
    return counts;
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

async function withFile(t: Test, use: (rig: Rig) => Promise<void>): Promise<void> {
  const file = new OneFile(t.testdir());
  const told = new Told();
  const transport = makeTransport(new SlotPool({ slotCount: 1, slotSizeBytes: 4096 }), (report) =>
    told.add(report),
  );
  // A client may have all of an answer just before it is counted.
  const toldOf = async (answerCount: number): Promise<Told> => {
    for (transport.report(); told.answers.length < answerCount; transport.report()) {
      await systemClock.sleep(5);
    }
    return told;
  };
  try {
    const { port } = await transport.listen({
      host: '127.0.0.1',
      port: 0,
      name: 's3',
      handler: file.handler,
    });
    await use({
      file,
      port,
      transport,
      toldOf,
      get: (headers, method) => fetchFile(port, headers, method),
    });
  } finally {
    await transport.close({ deadlineMs: 0 });
  }
}

function fetchFile(
  port: number,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { port, host: '127.0.0.1', path: '/b/f', method, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          });
          request.destroy();
        });
      },
    );
    request.on('error', reject);
    request.end();
  });
}

if (isHotpathBuilt()) {
  describeTransport(t, (slots, answersMax) => makeTransport(slots, undefined, answersMax));
  describeRawRequests(t, (slots) => makeTransport(slots));
  describeTable(t);
} else {
  t.pass('the addon was not built: there is no cargo here');
}

function describeTable(t: Test): void {
  t.test('what was sent once is answered without the surface: whole, ranges, HEAD and 304', async (t) => {
    await withFile(t, async ({ file, get }) => {
      t.ok((await get()).body.equals(file.bytes));
      t.strictSame(file.asked, ['GET all']);

      const whole = await get();
      t.ok(whole.body.equals(file.bytes));
      t.match(whole.headers, { etag: '"v1"', 'x-alluxio-cache': 'hit', 'content-length': String(sizeBytes) });
      t.match(whole.headers['x-amz-request-id'], /^[0-9a-f]{12}h[0-9a-f]{8}$/);
      t.ok(Math.abs(Date.parse(String(whole.headers['date'])) - systemClock.now()) < 60_000);
      for (const [from, to] of [
        [0, 1],
        [100, 5000],
        [pageSizeBytes - 10, pageSizeBytes + 10],
        [5, 2 * pageSizeBytes + 5],
        [sizeBytes - 1, sizeBytes],
      ] as const) {
        const part = await get({ range: `bytes=${from}-${to - 1}` });
        t.equal(part.status, 206);
        t.equal(part.headers['content-range'], `bytes ${from}-${to - 1}/${sizeBytes}`);
        t.ok(part.body.equals(file.bytes.subarray(from, to)), `${from} to ${to}`);
      }
      const head = await get({ range: 'bytes=-7' }, 'HEAD');
      t.match(head, { status: 206, headers: { 'content-length': '7' } });
      t.notOk(head.headers['x-alluxio-cache']);
      const notModified = await get({ 'if-none-match': '"v1"' });
      t.match(notModified, { status: 304, headers: { etag: '"v1"' } });
      t.equal(notModified.body.length, 0);
      t.strictSame(file.asked, ['GET all'], 'nothing of it came up');
    });
  });

  t.test(
    'what the table answers is told: calls, times, uses of pages, bytes, and each for the log',
    async (t) => {
      await withFile(t, async ({ file, get, port, toldOf }) => {
        await get();
        await get();
        await get({ range: 'bytes=0-9' });
        await get({ range: `bytes=${pageSizeBytes - 10}-${pageSizeBytes + 9}` });
        await get({ range: 'bytes=-7' }, 'HEAD');
        await get({ 'if-none-match': '"v1"' });
        await get({ 'if-none-match': '"v1"' }, 'HEAD');
        const told = await toldOf(6);
        t.strictSame(told.counts(), {
          'GET 200': 1,
          'GET 206': 2,
          'HEAD 206': 1,
          'GET 304': 1,
          'HEAD 304': 1,
        });
        t.strictSame(told.useCounts, [3, 2, 1]);
        t.equal(told.bodyBytes, sizeBytes + 30);
        t.ok(told.calls.every(({ bucketCounts }) => bucketCounts.slice(4).every((count) => count === 0)));
        t.ok(told.calls.every(({ durationSumMs }) => durationSumMs >= 0 && durationSumMs < 60_000));
        t.match(told.answers[0], {
          listener: 's3',
          method: 'GET',
          target: '/b/f',
          remoteAddress: '127.0.0.1',
          status: 200,
          sentBytes: sizeBytes,
          isComplete: true,
          outcome: 'hit',
          requestId: /^[0-9a-f]{12}h00000000$/,
        });
        t.match(told.answers[3], { method: 'HEAD', status: 206, sentBytes: 0, outcome: undefined });
        t.strictSame(file.asked, ['GET all']);

        const client = new RawClient(port);
        client.socket.pause();
        client.send('GET /b/f HTTP/1.1\r\nhost: h\r\n\r\n'.repeat(40));
        await toldOf(7);
        client.close();
        while (told.answers.every(({ isComplete }) => isComplete)) {
          await systemClock.sleep(5);
          await toldOf(0);
        }
        t.equal(told.counts()['GET 200 broken'], 1, 'and one whose client went');
      });
    },
  );

  t.test('a page that nobody has asked for goes up, and joins those that are known', async (t) => {
    await withFile(t, async ({ file, get }) => {
      await get({ range: 'bytes=0-9' });
      const range = { range: `bytes=${pageSizeBytes - 1}-${pageSizeBytes}` };
      for (let round = 0; round < 2; round++) {
        t.ok((await get(range)).body.equals(file.bytes.subarray(pageSizeBytes - 1, pageSizeBytes + 1)));
      }
      t.strictSame(file.asked, ['GET bytes=0-9', `GET ${range.range}`]);
    });
  });

  t.test('what somebody must decide on goes up', async (t) => {
    await withFile(t, async ({ file, get }) => {
      await get();
      file.asked.length = 0;
      await get({ 'if-none-match': '"v0", "v1"' });
      await get({ 'if-modified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' });
      await get({ 'x-other': '1' });
      await get({ range: 'bytes=0-1,5-6' });
      await get({}, 'DELETE');
      t.strictSame(file.asked, ['GET all', 'GET all', 'GET all', 'GET bytes=0-1,5-6', 'DELETE all']);
    });
  });

  t.test('what was dropped, or is no longer fresh, is asked for anew', async (t) => {
    await withFile(t, async ({ file, get, transport }) => {
      for (const drop of [
        () => transport.drop({ kind: 'file', fileKey }),
        () => transport.drop({ kind: 'segment', path: file.segment }),
        () => transport.drop({ kind: 'all' }),
      ]) {
        await get();
        await get();
        drop();
        await get();
      }
      t.equal(file.asked.length, 4, 'once, and once after each drop');
      transport.drop({ kind: 'file', fileKey: { a: 1, b: 2, c: 4 } });
      transport.drop({ kind: 'segment', path: `${file.segment}x` });
      await get();
      t.equal(file.asked.length, 4, 'what was not meant stays');
      transport.drop({ kind: 'all' });
      file.ageMs = 0;
      await get();
      await get();
      t.equal(file.asked.length, 6);
    });
  });

  t.test('what is about to run out is renewed, and nobody waits for it', async (t) => {
    await withFile(t, async ({ file, get }) => {
      file.ageMs = 4000;
      await get();
      const gate = Promise.withResolvers<void>();
      file.gate = gate.promise;
      for (; file.asked.length === 1; await systemClock.sleep(20)) {
        t.ok((await get()).body.equals(file.bytes), 'also who has it renewed is answered at once');
      }
      const meanwhile = await Promise.all(Array.from({ length: 20 }, () => get()));
      t.ok(meanwhile.every(({ body }) => body.equals(file.bytes)));
      t.strictSame(file.renewed, [undefined, 10_000], 'one question at a time');
      gate.resolve();
      file.gate = Promise.resolve();
      const endMs = performance.now() + 6000;
      for (; performance.now() < endMs; await systemClock.sleep(20)) await get();
      t.ok(
        file.renewed.slice(1).every((aheadMs) => aheadMs === 10_000),
        'each time it was renewed before it had run out',
      );
      t.ok(file.renewed.length >= 4);
      t.equal(file.openBodyCount, 0, 'the bodies that nobody reads are closed');
    });
  });

  t.test(
    'what was renewed has the headers of the newer answer; what may be kept no longer runs out',
    async (t) => {
      await withFile(t, async ({ file, get }) => {
        file.ageMs = 1000;
        await get();
        file.ageMs = 60_000;
        file.note = 'newer';
        for (; file.asked.length === 1; await systemClock.sleep(20)) await get();
        while ((await get()).headers['x-note'] !== 'newer') await systemClock.sleep(20);
        t.equal(file.asked.length, 2, 'of the table, with its pages');
      });
      await withFile(t, async ({ file, get }) => {
        file.ageMs = 1000;
        await get();
        file.isReusable = false;
        for (; file.asked.length === 1; await systemClock.sleep(20)) await get();
        const endMs = performance.now() + 1000;
        for (; performance.now() < endMs; await systemClock.sleep(20)) await get();
        t.ok(file.renewed.length > 2, 'what may not be kept runs out');
      });
    },
  );

  t.test('what no longer holds is not remembered', async (t) => {
    await withFile(t, async ({ file, get }) => {
      file.isReusable = false;
      await get();
      await get();
      t.equal(file.asked.length, 2);
    });
  });

  t.test(
    'bytes that went bad on the device are never sent: the surface answers, or goes on where the table stopped',
    async (t) => {
      await withFile(t, async ({ file, get, toldOf }) => {
        const whole = async (): Promise<readonly string[]> => {
          file.asked.length = 0;
          t.ok((await get()).body.equals(file.bytes));
          return [...file.asked];
        };
        t.strictSame(await whole(), ['GET all']);
        t.strictSame(await whole(), []);
        flipOnDevice(file.segment, []);
        t.strictSame(await whole(), [], 'what the kernel had dropped is checked, and good');

        flipOnDevice(file.segment, [{ offset: 4096 + 2 * pageSizeBytes + 70_000, bit: 3 }]);
        t.strictSame(await whole(), [`GET bytes=${2 * pageSizeBytes}-${sizeBytes - 1}`], 'in the last page');
        t.strictSame(await whole(), ['GET all'], 'and the table has forgotten it');
        // The table learns the bad page again each time: the store, which would have dropped it, is not here.
        flipOnDevice(file.segment, [{ offset: 4096 + 100, bit: 0 }]);
        t.strictSame(await whole(), ['GET all'], 'in the first block');
        file.asked.length = 0;
        const range = { range: 'bytes=50-149' };
        t.ok((await get(range)).body.equals(file.bytes.subarray(50, 150)));
        t.strictSame(file.asked, ['GET bytes=50-149'], 'in a short answer');
        const told = await toldOf(2);
        t.strictSame(
          told.counts(),
          { 'GET 200': 2 },
          'an answer that the table did not finish is not its own',
        );
      });
    },
  );

  t.test('of two who ask at once for a block that left memory and went bad, neither gets it', async (t) => {
    await withFile(t, async ({ file, get }) => {
      const flip = { offset: 4096 + 100, bit: 5 };
      const wanted = { range: 'bytes=50-4145' };
      for (let round = 0; round < 20; round++) {
        await get();
        t.ok((await get(wanted)).body.equals(file.bytes.subarray(50, 4146)), 'a good one, from memory');
        flipOnDevice(file.segment, [flip]);
        file.asked.length = 0;
        const both = await Promise.all([get(wanted), get(wanted)]);
        for (const { body } of both) t.ok(body.equals(file.bytes.subarray(50, 4146)));
        t.strictSame(file.asked, ['GET bytes=50-4145', 'GET bytes=50-4145'], 'both come up');
        flipOnDevice(file.segment, [flip]);
      }
    });
  });

  t.test('an answer that cannot go on as the same version is reset', async (t) => {
    await withFile(t, async ({ file, get }) => {
      await get();
      flipOnDevice(file.segment, [{ offset: 4096 + 2 * pageSizeBytes, bit: 7 }]);
      file.etag = '"v2"';
      await t.rejects(get(), /aborted|ECONNRESET|hang up/);
      t.equal(file.asked.length, 2);
    });
  });

  t.test(
    'a disk that hangs holds up only who needs its bytes, and those for as long as it may',
    async (t) => {
      await withFile(t, async ({ file, get }) => {
        const disk = await startHangingDisk(join(dirname(file.segment), 'disk'), file.segment);
        try {
          file.segment = disk.path;
          await get();
          t.ok((await get()).body.equals(file.bytes));
          t.equal(file.asked.length, 1, 'the table answers from this disk');

          await disk.hang();
          // Opening the file drops what the kernel had of it.
          closeSync(openSync(disk.path, 'r'));
          const startedMs = systemClock.monotonic();
          const over = new AbortController();
          const waiting = Promise.all(Array.from({ length: 10 }, () => get())).finally(() => over.abort());
          let headCount = 0;
          for (; !over.signal.aborted && headCount < 100; headCount++) {
            t.equal((await get({}, 'HEAD')).status, 200);
          }
          t.equal(headCount, 100, 'others are answered meanwhile');
          const answers = await waiting;
          t.ok(
            answers.every(({ body }) => body.equals(file.bytes)),
            'the surface answers in its place',
          );
          const waitedMs = systemClock.monotonic() - startedMs;
          t.ok(waitedMs > 4000 && waitedMs < 20_000, `${waitedMs} ms`);
          t.ok(file.asked.filter((asked) => asked === 'GET all').length > 1);
          await disk.goOn();
        } finally {
          await disk.stop();
        }
      });
    },
  );

  t.test('what somebody else reads from the device is checked again before it is sent', async (t) => {
    await withFile(t, async ({ file, get, transport }) => {
      await get();
      await get();
      t.equal(file.asked.length, 1);
      flipOnDevice(file.segment, [{ offset: 4096 + 10, bit: 1 }]);
      const fd = openSync(file.segment, 'r');
      const bytes = Buffer.alloc(pageSizeBytes);
      transport.beforeRead({ path: file.segment, offset: 4096, lengthBytes: bytes.length });
      readSync(fd, bytes, 0, bytes.length, 4096);
      closeSync(fd);
      t.notOk(bytes.equals(file.bytes.subarray(0, bytes.length)), 'the bad bytes are in memory now');
      t.ok((await get()).body.equals(file.bytes));
      t.equal(file.asked.length, 2);
    });
  });

  t.test('targets and headers are bytes, whatever they mean as text', async (t) => {
    await withFile(t, async ({ file, port }) => {
      const ask = (target: string): string => `GET ${target} HTTP/1.1\r\nhost: h\r\nrange: bytes=0-0\r\n\r\n`;
      const client = new RawClient(port);
      const send = async (target: string, answerCount: number): Promise<string> => {
        client.socket.write(ask(target), 'latin1');
        return client.until(
          (text) => text.split('HTTP/1.1 ').length > answerCount && /\r\n\r\n.$/s.test(text),
        );
      };
      const utf8 = Buffer.from('/b/é').toString('latin1');
      await send(utf8, 1);
      t.match(await send(utf8, 2), /x-note: \xe9\r\n/, 'and a header is sent as it was given');
      t.equal(file.asked.length, 1);
      await send(Buffer.from(utf8).toString('latin1'), 3);
      t.equal(file.asked.length, 2, 'the same text encoded once more is another target');
      client.close();
    });
  });

  t.test('a segment that was cut short sends no other bytes', async (t) => {
    await withFile(t, async ({ file, get }) => {
      await get();
      truncateSync(file.segment, 4096 + 100);
      t.ok((await get()).body.equals(file.bytes));
      const small = await get({ range: 'bytes=90-199' });
      t.ok(small.body.equals(file.bytes.subarray(90, 200)));
      t.strictSame(file.asked, ['GET all', 'GET all', 'GET bytes=90-199']);
    });
  });

  t.test(
    'a connection for one request is answered by the table too, and ends behind the answer',
    async (t) => {
      await withFile(t, async ({ file, get, port }) => {
        await get();
        const bodyOf = (answer: string): Buffer =>
          Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1');
        for (const ask of [
          'GET /b/f HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n',
          'GET /b/f HTTP/1.0\r\n\r\n',
          'GET /b/f HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\nwhat comes after is for nobody',
        ]) {
          const client = new RawClient(port);
          client.send(ask);
          const answer = await client.toEnd();
          t.match(answer, /\r\nconnection: close\r\n/);
          t.ok(bodyOf(answer).equals(file.bytes), 'whole');
          client.close();
        }
        const client = new RawClient(port);
        const ask = 'GET /b/f HTTP/1.0\r\nconnection: keep-alive\r\nrange: bytes=1-2\r\n\r\n';
        client.send(ask);
        t.match(await client.until((text) => /\r\n\r\n..$/s.test(text)), /\r\nconnection: keep-alive\r\n/);
        client.send(ask);
        await client.until((text) => /\r\n\r\n..HTTP.*\r\n\r\n..$/s.test(text));
        client.close();
        t.strictSame(file.asked, ['GET all'], 'nothing of it came up');
      });
    },
  );

  t.test('requests in one piece are answered in order, by the table and by the surface', async (t) => {
    await withFile(t, async ({ file, get, port }) => {
      await get();
      const client = new RawClient(port);
      const ask = (range: string, more = ''): string =>
        `GET /b/f HTTP/1.1\r\nhost: h\r\nrange: bytes=${range}\r\n${more}\r\n`;
      client.send(
        ask('10-11') + ask('20-21', 'x-other: 1\r\n') + ask('30-31') + ask('40-41', 'connection: close\r\n'),
      );
      const answer = Buffer.from(await client.toEnd(), 'latin1');
      const bodies = [10, 20, 30, 40].map((from) => file.bytes.subarray(from, from + 2));
      let at = 0;
      for (const body of bodies) {
        at = answer.indexOf('\r\n\r\n', at) + 4;
        t.ok(answer.subarray(at, at + 2).equals(body));
      }
      t.equal(at + 2, answer.length);
      t.strictSame(file.asked, ['GET all', 'GET bytes=20-21']);
      client.close();
    });
  });
}
