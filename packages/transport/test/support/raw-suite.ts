/** What every page transport makes of bytes that no HTTP library would send, or not in this way. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Body } from '@alluxio-ts/common/body';
import { textBody } from '@alluxio-ts/common/body';
import type { TransportRequest, TransportResponse } from '@alluxio-ts/transport/page-transport';
import type { Test } from 'tap';
import { RawClient } from './raw-client.ts';
import { type TransportFactory, withTransport } from './transport-conformance.ts';

const mebibyte = 1024 * 1024;

/** Answers `<method> <target>:<body>`; to `/late` after a hundred turns of the event loop; a body of 4 MiB to `/large`; nothing before `/slow` is let go. */
async function echo(request: TransportRequest): Promise<TransportResponse> {
  // By then the end that came right behind the request has been heard of.
  for (let turn = 0; request.target === '/late' && turn < 100; turn++) await nextTurn();
  if (request.target === '/large') return { status: 200, headers: [], body: largeBody(4 * mebibyte) };
  let body = '';
  for await (const piece of request.body) body += Buffer.from(piece).toString('latin1');
  const text = `<${request.method} ${request.target}:${body}>`;
  const headers = request.method === 'HEAD' ? [['content-length', '1000'] as const] : [];
  return { status: 200, headers, body: textBody(request.method === 'HEAD' ? '' : text) };
}

function largeBody(lengthBytes: number): Body {
  return {
    kind: 'parts',
    lengthBytes,
    next: async (offset) => ({
      kind: 'stream',
      lengthBytes: lengthBytes - offset,
      stream: (async function* () {
        for (let at = offset; at < lengthBytes; at += 65_536) {
          yield Buffer.alloc(Math.min(65_536, lengthBytes - at), 'x');
        }
      })(),
    }),
    close: () => undefined,
  };
}

export function describeRawRequests(t: Test, factory: TransportFactory): void {
  const withEcho = (use: (port: number, seen: string[]) => Promise<void>): Promise<void> => {
    const seen: string[] = [];
    const handler = async (request: TransportRequest): Promise<TransportResponse> => {
      seen.push(request.target);
      return echo(request);
    };
    return withTransport(
      factory,
      () => handler,
      ({ port }) => use(port, seen),
    );
  };

  t.test('a request that comes in pieces of one byte is the same request', async () => {
    await withEcho(async (port) => {
      const client = new RawClient(port);
      client.socket.setNoDelay(true);
      for (const byte of 'PUT /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n') {
        await new Promise<void>((resolve) => client.socket.write(byte, () => resolve()));
      }
      await client.until((text) => text.endsWith('<PUT /a:abc>'));
      client.close();
    });
  });

  t.test(
    'a chunked body comes to the surface without its framing, and the next request behind it',
    async (t) => {
      await withEcho(async (port, seen) => {
        const client = new RawClient(port);
        const head = 'PUT /a HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: Chunked\r\n\r\n';
        client.send(
          `${head}3\r\nabc\r\nA;x=y\r\n\r\n45678\r\n9\r\n0\r\nx-a: 1\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n`,
        );
        await client.until(
          (text) => text.includes('<PUT /a:abc\r\n45678\r\n9>') && text.endsWith('<GET /b:>'),
        );
        const large = 'y'.repeat(3 * mebibyte);
        client.send(`${head}${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`);
        await client.until((text) => text.endsWith(`<PUT /a:${large}>`));
        client.close();
        t.strictSame(seen, ['/a', '/b', '/a']);
      });
    },
  );

  t.test('who waits for 100 Continue gets it; who expects something else is refused', async (t) => {
    await withEcho(async (port) => {
      const client = new RawClient(port);
      client.send('PUT /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
      await client.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
      client.send('abc');
      t.match(
        await client.until((text) => text.endsWith('>')),
        /\r\n\r\nHTTP\/1\.1 200 OK\r\n.*<PUT \/a:abc>$/s,
      );
      client.close();
      const other = new RawClient(port);
      other.send('PUT /a HTTP/1.1\r\nhost: h\r\nexpect: tea\r\ncontent-length: 3\r\n\r\nabc');
      t.match(await other.until((text) => text.includes('\r\n\r\n')), /^HTTP\/1\.1 417 /);
      other.close();
    });
  });

  t.test('HTTP/1.0 gets its connection kept only when it asks, and is told so', async (t) => {
    await withEcho(async (port) => {
      const client = new RawClient(port);
      for (const target of ['/1', '/2']) {
        client.send(`GET ${target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`);
        await client.until((text) => text.endsWith(`<GET ${target}:>`));
      }
      t.equal(client.received.match(/\r\nconnection: keep-alive\r\n/gi)?.length, 2);
      client.send('HEAD /3 HTTP/1.0\r\n\r\n');
      const text = await client.toEnd();
      t.match(text, /\r\nconnection: close\r\n/i);
      t.ok(text.endsWith('\r\n\r\n'), 'and no body for HEAD');
      client.close();
    });
  });

  t.test('many requests at once, of every kind, are answered in order on one connection', async (t) => {
    await withEcho(async (port) => {
      const client = new RawClient(port);
      const count = 300;
      let all = '';
      for (let index = 0; index < count; index++) {
        const head = `/${index} HTTP/1.1\r\nhost: h\r\n`;
        if (index % 3 === 0) all += `GET ${head}\r\n`;
        else if (index % 3 === 1) all += `PUT ${head}content-length: 2\r\n\r\nok`;
        else all += `HEAD ${head}\r\n`;
      }
      client.send(all);
      const isWhole = (text: string): boolean => text.match(/HTTP\/1\.1 200/g)?.length === count;
      const text = await client.until((text) => isWhole(text) && text.endsWith('\r\n\r\n'));
      const expected = Array.from({ length: count }, (_, index) =>
        index % 3 === 2 ? [] : [index % 3 === 0 ? `<GET /${index}:>` : `<PUT /${index}:ok>`],
      ).flat();
      t.strictSame(text.match(/<[^>]*>/g), expected);
      client.close();
    });
  });

  t.test('a client that reads slowly gets all of it, and holds nobody up', async (t) => {
    await withEcho(async (port) => {
      const slow = new RawClient(port);
      slow.socket.pause();
      slow.send('GET /large HTTP/1.1\r\nhost: h\r\n\r\n');
      const other = new RawClient(port);
      for (let count = 0; count < 20; count++) {
        other.send(`GET /${count} HTTP/1.1\r\nhost: h\r\n\r\n`);
        await other.until((text) => text.endsWith(`<GET /${count}:>`));
      }
      other.close();
      slow.socket.resume();
      const text = await slow.until((text) => text.length > 4 * mebibyte && text.endsWith('x'));
      t.equal(text.length - text.indexOf('\r\n\r\n') - 4, 4 * mebibyte);
      slow.close();
    });
  });

  t.test('a connection for each request, one after the other', async (t) => {
    await withEcho(async (port) => {
      for (let index = 0; index < 200; index++) {
        const client = new RawClient(port);
        client.send(`GET /${index} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n`);
        const text = await client.toEnd();
        if (!text.endsWith(`<GET /${index}:>`)) t.fail(`${index}: ${text}`);
        client.close();
      }
    });
  });

  t.test(
    'a request that can be read in two ways is answered 400, once, and the connection closed',
    async (t) => {
      const head = 'PUT /a HTTP/1.1\r\nhost: h\r\n';
      const chunked = `${head}transfer-encoding: chunked\r\n\r\n`;
      const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n';
      const attempts = [
        `${head}content-length: 1\r\ncontent-length: 2\r\n\r\nab`,
        `${head}content-length: 1\r\ncontent-length: 1\r\n\r\na`,
        `${head}content-length: 1, 1\r\n\r\na`,
        `${head}content-length: +1\r\n\r\na`,
        `${head}content-length: 0x1\r\n\r\na`,
        `${head}content-length: -1\r\n\r\na`,
        `${head}content-length: 99999999999999999999999\r\n\r\na`,
        `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
        `${head}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`,
        `${head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
        `${head}x-a: 1\r\n folded\r\n\r\n`,
        `${head}x-a: 1\r\n\tfolded\r\n\r\n`,
        `${head}x-a: a\rb\r\n\r\n`,
        `${head}x-a: a\0b\r\n\r\n`,
        `${head}x-a : a\r\n\r\n`,
        `${head} x-a: a\r\n\r\n`,
        `${head}: a\r\n\r\n`,
        `${head}x-a\r\n\r\n`,
        `${head}host: other\r\n\r\n`,
        'GET /a HTTP/1.1\r\n\r\n',
        'GET /a\0b HTTP/1.1\r\nhost: h\r\n\r\n',
        'GET /a b HTTP/1.1\r\nhost: h\r\n\r\n',
        'G\0T /a HTTP/1.1\r\nhost: h\r\n\r\n',
        'GET /a HTTP/1.1 x\r\nhost: h\r\n\r\n',
        'GET /a HTTP/2.0\r\nhost: h\r\n\r\n',
        ...[
          '5\nhello\r\n0\r\n\r\n',
          '5\r\nhello0\r\n\r\n',
          '5\r\nhelloXX0\r\n\r\n',
          '0x5\r\nhello\r\n0\r\n\r\n',
          '+5\r\nhello\r\n0\r\n\r\n',
          '-5\r\nhello\r\n0\r\n\r\n',
          'x\r\nhello\r\n0\r\n\r\n',
          '\r\nhello\r\n0\r\n\r\n',
          'fffffffffffffffff\r\nhello\r\n0\r\n\r\n',
        ].map((body) => chunked + body),
      ];
      await withEcho(async (port, seen) => {
        for (const attempt of attempts) {
          const client = new RawClient(port);
          client.send(attempt + smuggled);
          const text = await client.toEnd();
          t.match(text, /^HTTP\/1\.1 400 /, JSON.stringify(attempt));
          t.equal(text.match(/HTTP\/1\.1/g)?.length, 1, 'nothing more');
          t.notOk(seen.includes('/smuggled'), 'the surface did not see what was behind');
          client.close();
        }
        t.notOk(seen.includes('/smuggled'));
      });
    },
  );

  t.test('junk behind a whole request: the request is answered, then the connection ends', async (t) => {
    await withEcho(async (port) => {
      for (const junk of ['\0\0\0\0', 'NONSENSE\r\n\r\n', 'GET /b HTTP/1.1\r\nhost : h\r\n\r\n']) {
        const client = new RawClient(port);
        client.send(`GET /a HTTP/1.1\r\nhost: h\r\n\r\n${junk}`);
        t.match(
          await client.toEnd(),
          /^HTTP\/1\.1 200 .*<GET \/a:>(HTTP\/1\.1 400 .*)?$/s,
          JSON.stringify(junk),
        );
        client.close();
      }
    });
  });

  t.test('a client that ends its side gets what it has asked, then the connection ends', async (t) => {
    await withEcho(async (port) => {
      const whole = 'PUT /b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc';
      const chunked = 'PUT /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\n';
      for (const [asked, answered] of [
        ['GET /a HTTP/1.1\r\nhost: h\r\n\r\n', ['<GET /a:>']],
        ['GET /a HTTP/1.0\r\n\r\n', ['<GET /a:>']],
        ['GET /late HTTP/1.1\r\nhost: h\r\n\r\n', ['<GET /late:>']],
        [whole, ['<PUT /b:abc>']],
        [whole + chunked + whole, ['<PUT /b:abc>', '<PUT /c:d>', '<PUT /b:abc>']],
        ['', null],
      ] as const) {
        const client = new RawClient(port);
        client.socket.end(asked);
        t.strictSame((await client.toEnd()).match(/<[^>]*>/g), answered, JSON.stringify(asked));
        client.close();
      }
      const slow = new RawClient(port);
      slow.socket.pause();
      slow.socket.end('GET /large HTTP/1.1\r\nhost: h\r\n\r\n');
      await new Promise((resolve) => slow.socket.once('finish', resolve));
      slow.socket.resume();
      const text = await slow.toEnd();
      t.equal(text.length - text.indexOf('\r\n\r\n') - 4, 4 * mebibyte, 'all of a large answer');
      slow.close();
      const half = new RawClient(port);
      half.socket.end('PUT /b HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc');
      t.notMatch(await half.toEnd(), / 200 /, 'half a request is never answered as a whole one');
      half.close();
    });
  });
}
