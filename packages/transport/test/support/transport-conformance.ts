/** What every page transport does, whatever it is made of. */

import { request as httpRequest } from 'node:http';
import type { Body, PageHandle, Part } from '@alluxio-ts/common/body';
import { textBody } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { systemClock } from '@alluxio-ts/common/clock';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { delayBucketCount } from '@alluxio-ts/transport/delay-watch';
import type { PageTransport, RequestHandler, TransportResponse } from '@alluxio-ts/transport/page-transport';
import type { Test } from 'tap';
import { RawClient } from './raw-client.ts';

interface Rig {
  readonly port: number;
  readonly slots: SlotPool;
  readonly transport: PageTransport;
}

export type TransportFactory = (slots: SlotPool, answersMax?: number) => PageTransport;

const pageBytes = 1024 * 1024;

export async function withTransport(
  factory: TransportFactory,
  handler: (slots: SlotPool) => RequestHandler,
  use: (rig: Rig) => Promise<void>,
  answersMax?: number,
): Promise<void> {
  const slots = new SlotPool({ slotCount: 2, slotSizeBytes: pageBytes });
  const transport = factory(slots, answersMax);
  const { port } = await transport.listen({
    host: '127.0.0.1',
    port: 0,
    name: 'test',
    handler: handler(slots),
  });
  try {
    await use({ port, slots, transport });
  } finally {
    await transport.close({ deadlineMs: 0 });
  }
}

/** A page in memory whose handle counts how often it was released. */
class FakePage implements PageHandle {
  readonly lengthBytes: number;
  releasedCount = 0;
  /** Reads from here on fail. */
  failFrom = Number.POSITIVE_INFINITY;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.lengthBytes = bytes.length;
  }

  async read(from: number, to: number): Promise<Uint8Array> {
    if (to > this.failFrom) throw new AlluxioError('PageCorrupt', 'a block is bad');
    return this.#bytes.slice(from, to);
  }

  release(): void {
    this.releasedCount++;
  }
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 255);
}

function partsBody(
  lengthBytes: number,
  next: (offset: number) => Promise<Part>,
  onClose = (): void => undefined,
): Body {
  return { kind: 'parts', lengthBytes, next: (offset) => next(offset), close: onClose };
}

interface Fetched {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

function fetchFrom(port: number, path = '/', method = 'GET'): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', path, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end();
  });
}

export function describeTransport(t: Test, factory: TransportFactory): void {
  t.test('the surface sees the raw target, lower-case headers and the body', async (t) => {
    const seen: string[] = [];
    await withTransport(
      factory,
      () => async (request) => {
        let body = '';
        for await (const chunk of request.body) body += Buffer.from(chunk).toString();
        seen.push(request.method, request.target, request.headers.get('x-a') ?? '', body);
        return { status: 200, headers: [['x-b', '1']], body: textBody('ok') };
      },
      async ({ port }) => {
        const client = new RawClient(port);
        client.send(
          'POST /a//b/%2F?x=%zz HTTP/1.1\r\nhost: h\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 4\r\n\r\nbody',
        );
        const answer = await client.until((text) => text.endsWith('ok'));
        t.match(answer, /^HTTP\/1\.1 200 /);
        t.match(answer, /\r\nx-b: 1\r\n/);
        t.match(answer, /\r\ncontent-length: 2\r\n/i);
        client.close();
      },
    );
    t.strictSame(seen, ['POST', '/a//b/%2F?x=%zz', '1, 2', 'body']);
  });

  t.test('how late it comes to what is due is counted, with other work and without', async (t) => {
    const handler = () => async () => ({ status: 200, headers: [], body: textBody('') });
    await withTransport(factory, handler, async ({ transport }) => {
      const sum = (counts: ArrayLike<number>): number =>
        Array.from(counts).reduce((one, other) => one + other, 0);
      const watch = transport.watchDelays();
      await systemClock.sleep(100);
      const before = watch.take();
      t.equal(before.alone.length, delayBucketCount);
      t.equal(before.beside.length, delayBucketCount);
      t.ok(sum(before.alone) >= 30, 'every millisecond or two');
      t.equal(sum(before.beside), 0);
      watch.mark(true);
      await systemClock.sleep(100);
      const { alone, beside } = watch.take();
      t.ok(sum(beside) >= 30);
      t.ok(sum(alone) <= 20);
      watch.close();
      await systemClock.sleep(20);
      watch.take();
      await systemClock.sleep(20);
      const after = watch.take();
      t.equal(sum(after.alone) + sum(after.beside), 0, 'no more once it is closed');
      const again = transport.watchDelays();
      await systemClock.sleep(100);
      const { alone: aloneAgain } = again.take();
      t.ok(sum(aloneAgain) >= 30, 'with nothing of before');
      again.close();
    });
  });

  t.test('requests that come in one piece are answered in order on one connection', async (t) => {
    await withTransport(
      factory,
      () => async (request) => ({ status: 200, headers: [], body: textBody(`<${request.target}>`) }),
      async ({ port }) => {
        const client = new RawClient(port);
        client.send(['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nhost: h\r\n\r\n`).join(''));
        const answer = await client.until((text) => text.includes('</3>'));
        t.strictSame(answer.match(/<\/\d>/g), ['</1>', '</2>', '</3>']);
        client.close();
      },
    );
  });

  t.test('an answer to HEAD has the length of the body and no body', async (t) => {
    await withTransport(
      factory,
      () => async () => ({ status: 200, headers: [['content-length', '1000']], body: textBody('') }),
      async ({ port }) => {
        const answer = await fetchFrom(port, '/', 'HEAD');
        t.equal(answer.headers['content-length'], '1000');
        t.equal(answer.body.length, 0);
      },
    );
  });

  t.test('parts follow each other without a seam, and every handle is released once', async (t) => {
    const whole = pattern(3 * pageBytes - 17);
    const pages = [0, 1, 2].map(
      (index) => new FakePage(whole.slice(index * pageBytes, (index + 1) * pageBytes)),
    );
    let closedCount = 0;
    await withTransport(
      factory,
      () => async () => ({
        status: 200,
        headers: [],
        body: partsBody(
          whole.length,
          async (offset) => {
            const index = Math.floor(offset / pageBytes);
            const handle = pages[index];
            if (!handle) throw new Error('asked behind the end');
            return { kind: 'extent', handle, from: offset - index * pageBytes, to: handle.lengthBytes };
          },
          () => closedCount++,
        ),
      }),
      async ({ port }) => {
        const answer = await fetchFrom(port);
        t.ok(answer.body.equals(whole));
        t.equal(answer.headers['content-length'], String(whole.length));
      },
    );
    t.strictSame(
      pages.map((page) => page.releasedCount),
      [1, 1, 1],
    );
    t.equal(closedCount, 1);
  });

  t.test('a part that fails is asked for again at the offset reached', async (t) => {
    const whole = pattern(pageBytes);
    const bad = new FakePage(whole);
    bad.failFrom = 600_000;
    const good = new FakePage(whole);
    const asked: number[] = [];
    await withTransport(
      factory,
      () => async () => ({
        status: 200,
        headers: [],
        body: partsBody(whole.length, async (offset) => {
          asked.push(offset);
          return { kind: 'extent', handle: asked.length === 1 ? bad : good, from: offset, to: whole.length };
        }),
      }),
      async ({ port }) => {
        t.ok((await fetchFrom(port)).body.equals(whole));
      },
    );
    t.equal(asked.length, 2);
    t.ok((asked[1] ?? 0) < 600_000);
    t.strictSame([bad.releasedCount, good.releasedCount], [1, 1]);
  });

  t.test('an answer that cannot go on is reset, never completed', async (t) => {
    const whole = pattern(pageBytes);
    let askedCount = 0;
    await withTransport(
      factory,
      () => async () => ({
        status: 200,
        headers: [],
        body: partsBody(2 * pageBytes, async (offset) => {
          askedCount++;
          if (offset > 0) throw new AlluxioError('VersionChanged', 'gone');
          return { kind: 'extent', handle: new FakePage(whole), from: 0, to: whole.length };
        }),
      }),
      async ({ port }) => {
        await t.rejects(fetchFrom(port), /aborted|reset|hang up|ECONNRESET/);
      },
    );
    t.equal(askedCount, 2);
  });

  t.test('a page is sent while it fills, and nothing of a failed fill completes an answer', async (t) => {
    const whole = pattern(pageBytes);
    let lease = { slot: 0, generation: 0 };
    await withTransport(
      factory,
      (slots) => async () => {
        lease = slots.take(0) ?? lease;
        slots.bytesOf(lease.slot).set(whole.subarray(0, 1000));
        slots.advanceTail(lease.slot, 1000);
        let askedCount = 0;
        return {
          status: 200,
          headers: [],
          body: partsBody(whole.length, async (offset) => {
            if (askedCount++ > 0) throw new AlluxioError('UfsUnavailable', 'the storage went');
            slots.hold(lease.slot);
            const release = (): void => slots.release(lease.slot);
            return { kind: 'slot', ...lease, from: offset, to: whole.length, release };
          }),
        };
      },
      async ({ port, slots }) => {
        const client = new RawClient(port);
        client.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);
        await client.until((text) => text.includes('\r\n\r\n') && bodyOf(text).length >= 1000);
        slots.bytesOf(lease.slot).set(whole.subarray(1000, 5000), 1000);
        slots.advanceTail(lease.slot, 5000);
        await client.until((text) => bodyOf(text).length >= 5000);
        slots.fail(lease.slot);
        slots.release(lease.slot);
        const body = bodyOf(await client.toEnd());
        t.ok(Buffer.from(body, 'latin1').equals(whole.subarray(0, 5000)));
        t.equal(slots.freeCount, 2, 'the reader let go');
      },
    );
  });

  t.test('a client that takes no bytes holds no slot', async (t) => {
    const lengthBytes = 64 * pageBytes;
    let release: (() => void) | undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await withTransport(
      factory,
      (slots) => async () => ({
        status: 200,
        headers: [],
        body: partsBody(lengthBytes, async () => {
          const lease = slots.take(0);
          if (!lease) throw new AlluxioError('Overloaded', 'no slot');
          slots.advanceTail(lease.slot, pageBytes);
          const giveBack = (): void => {
            slots.release(lease.slot);
            release?.();
          };
          return { kind: 'slot', ...lease, from: 0, to: pageBytes, release: giveBack };
        }),
      }),
      async ({ port, slots }) => {
        const client = new RawClient(port);
        await new Promise((resolve) => client.socket.once('connect', resolve));
        client.socket.pause();
        client.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        await released;
        t.equal(slots.freeCount, 2);
        client.close();
      },
    );
  });

  t.test('a stream that breaks is asked for again; one that gives too much is reset', async (t) => {
    const whole = pattern(5000);
    async function* pieces(from: number, to: number, failure?: Error): AsyncGenerator<Uint8Array> {
      yield whole.subarray(from, to);
      if (failure) throw failure;
    }
    const breaking = (offset: number): Part => ({
      kind: 'stream',
      lengthBytes: whole.length - offset,
      stream:
        offset === 0
          ? pieces(0, 2000, new AlluxioError('UfsUnavailable', 'reset'))
          : pieces(offset, whole.length),
    });
    await withTransport(
      factory,
      () => async (request) => ({
        status: 200,
        headers: [],
        body: partsBody(request.target === '/more' ? 4000 : whole.length, async (offset) =>
          request.target === '/more'
            ? { kind: 'stream', lengthBytes: 4000, stream: pieces(0, 5000) }
            : breaking(offset),
        ),
      }),
      async ({ port }) => {
        t.ok((await fetchFrom(port)).body.equals(whole));
        await t.rejects(fetchFrom(port, '/more'));
      },
    );
  });

  t.test('what is no HTTP is answered 400 and closed, and never reaches the surface', async (t) => {
    const targets: string[] = [];
    const attempts = [
      'GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
      'GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG',
      'GET / HTTP/1.1\r\nhost: h\r\nx-a: 1\r\n folded\r\n\r\n',
      'GET / HTTP/1.1\r\nhost: h\r\nx-a: a\rb\r\n\r\n',
      'GET / HTTP/1.1\r\nhost : h\r\n\r\n',
      'NONSENSE\r\n\r\n',
      `GET / HTTP/1.1\r\nhost: h\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`,
    ];
    await withTransport(
      factory,
      () => async (request) => {
        targets.push(request.target);
        return { status: 200, headers: [], body: textBody('') };
      },
      async ({ port }) => {
        for (const attempt of attempts) {
          const client = new RawClient(port);
          client.send(attempt);
          t.match(await client.toEnd(), /^HTTP\/1\.1 4(00|31) /, attempt.slice(0, 60));
          client.close();
        }
      },
    );
    t.strictSame(targets, []);
  });

  t.test('a large body comes to the surface in pieces, whole', async (t) => {
    const whole = Buffer.from(pattern(pageBytes));
    await withTransport(
      factory,
      () => async (request) => {
        const pieces: Buffer[] = [];
        for await (const piece of request.body) pieces.push(Buffer.from(piece));
        const isSame = pieces.length > 1 && Buffer.concat(pieces).equals(whole);
        return { status: 200, headers: [], body: textBody(`same: ${isSame}`) };
      },
      async ({ port }) => {
        const client = new RawClient(port);
        client.send(`PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: ${whole.length}\r\n\r\n`);
        client.socket.write(whole);
        await client.until((text) => text.endsWith('same: true'));
        client.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        t.match(
          await client.until((text) => text.endsWith('same: false')),
          /200 .*200 /s,
          'and then the next',
        );
        client.close();
      },
    );
  });

  t.test('a client that goes ends its request', async (t) => {
    const gone = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    let closedCount = 0;
    await withTransport(
      factory,
      () => async (request) => {
        request.signal.addEventListener('abort', () => gone.resolve(), { once: true });
        return {
          status: 200,
          headers: [],
          body: partsBody(
            100,
            async () => {
              arrived.resolve();
              await gone.promise;
              throw request.signal.reason;
            },
            () => closedCount++,
          ),
        };
      },
      async ({ port }) => {
        const client = new RawClient(port);
        client.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        await arrived.promise;
        client.reset();
        await gone.promise;
      },
    );
    t.equal(closedCount, 1);
  });

  t.test('a client that wants the connection closed is told so, and it is', async (t) => {
    await withTransport(
      factory,
      () => async () => ({ status: 200, headers: [], body: textBody('bye') }),
      async ({ port }) => {
        for (const ask of [
          'GET / HTTP/1.1\r\nhost: h\r\nConnection: Close\r\n\r\n',
          'GET / HTTP/1.0\r\n\r\n',
        ]) {
          const client = new RawClient(port);
          client.send(ask);
          t.match(await client.toEnd(), /\r\nconnection: close\r\n.*bye$/is);
          client.close();
        }
      },
    );
  });

  t.test('a header that would break out of its line is never sent', async (t) => {
    await withTransport(
      factory,
      () => async () => ({ status: 200, headers: [['x-a', 'b\r\nx-c: d']], body: textBody('') }),
      async ({ port }) => {
        const answer = await fetchFrom(port);
        t.equal(answer.status, 500);
        t.notOk(answer.headers['x-c']);
      },
    );
  });

  t.test(
    'what there is no place for is refused in the words of its surface, and the next is not',
    async (t) => {
      const gate = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      let closedCount = 0;
      const refusedWith: string[] = [];
      const large: TransportResponse = {
        status: 200,
        headers: [['x-alluxio-cache', 'hit']],
        body: partsBody(
          pageBytes,
          async () => {
            begun.resolve();
            await gate.promise;
            return { kind: 'extent', handle: new FakePage(pattern(pageBytes)), from: 0, to: pageBytes };
          },
          () => closedCount++,
        ),
        refusal: (error) => {
          refusedWith.push(error.code);
          return { status: 503, headers: [['retry-after', '7']], body: textBody('<come back>') };
        },
      };
      const short: TransportResponse = { status: 200, headers: [], body: textBody('<short>') };
      await withTransport(
        factory,
        () => async (request) => (request.target === '/short' ? short : large),
        async ({ port }) => {
          const first = new RawClient(port);
          first.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
          await begun.promise;
          const second = new RawClient(port);
          second.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
          const refused = await second.until((text) => text.endsWith('>'));
          const [head = '', body] = refused.split('\r\n\r\n');
          t.match(head, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
          t.match(head, /\r\nretry-after: 7\r\n/i);
          t.match(head, /\r\ncontent-length: 11\r\n/i);
          t.notMatch(head, /x-alluxio-cache/);
          t.equal(body, '<come back>');
          t.strictSame(refusedWith, ['Overloaded']);
          t.equal(closedCount, 1, 'the body of the refused one');
          second.send('GET /short HTTP/1.1\r\nhost: h\r\n\r\n');
          await second.until((text) => text.endsWith('<short>'));
          second.close();
          gate.resolve();
          await first.until((text) => text.length > pageBytes);
          first.close();
          while ((await fetchFrom(port)).status !== 200);
        },
        1,
      );
    },
  );

  t.test('a taken port is an error that names it', async (t) => {
    await withTransport(
      factory,
      () => async () => ({ status: 200, headers: [], body: textBody('') }),
      async ({ port, slots }) => {
        const other = factory(slots);
        await t.rejects(
          other.listen({
            host: '127.0.0.1',
            port,
            name: 's3',
            handler: async () => ({ status: 200, headers: [], body: textBody('') }),
          }),
          { code: 'PortTaken', message: new RegExp(String(port)) },
        );
        await other.close({ deadlineMs: 0 });
      },
    );
  });

  t.test('closing ends a connection whose answer was under way, once that is sent', async (t) => {
    const whole = pattern(pageBytes);
    const gate = Promise.withResolvers<void>();
    await withTransport(
      factory,
      () => async () => ({
        status: 200,
        headers: [],
        body: partsBody(2 * pageBytes, async (offset) => {
          if (offset > 0) await gate.promise;
          return { kind: 'extent', handle: new FakePage(whole), from: 0, to: whole.length };
        }),
      }),
      async ({ port, transport }) => {
        const client = new RawClient(port);
        client.send('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        await client.until((text) => text.length > 1000);
        const closed = transport.close({ deadlineMs: 60_000 });
        gate.resolve();
        const answer = await client.toEnd();
        t.ok(answer.length > 2 * pageBytes, 'the whole answer came');
        await closed;
        client.close();
      },
    );
  });

  t.test('closing lets an answer in flight finish', async (t) => {
    let go: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    let arrived: (() => void) | undefined;
    const inFlight = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await withTransport(
      factory,
      () => async () => {
        arrived?.();
        await gate;
        return { status: 200, headers: [], body: textBody('done') };
      },
      async ({ port, transport }) => {
        const answer = fetchFrom(port);
        await inFlight;
        const closed = transport.close({ deadlineMs: 10_000 });
        go?.();
        t.equal((await answer).body.toString(), 'done');
        await closed;
        await t.rejects(fetchFrom(port), /ECONNREFUSED/);
      },
    );
  });
}
