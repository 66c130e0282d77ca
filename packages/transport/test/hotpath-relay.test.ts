/** Requests whose routes are known never reach the surface; whatever the owner does that is not a plain answer does. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import { HotpathTransport, hotpathTransportDefaults } from '@alluxio-ts/transport/hotpath-transport';
import type {
  AnsweredRequest,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import { plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import t, { type Test } from 'tap';
import { RawClient } from './support/raw-client.ts';

const sizeBytes = 1_000_003;
const content = Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8)) & 255));
const etag = '"v1"';
const pollMs = 10;

interface FileAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

function fileAnswer(range: string | undefined): FileAnswer {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
  if (!match) return { status: 200, headers: { etag, 'content-length': String(sizeBytes) }, body: content };
  const [from, to] = [Number(match[1]), Number(match[2]) + 1];
  return {
    status: 206,
    headers: {
      etag,
      'content-length': String(to - from),
      'content-range': `bytes ${from}-${to - 1}/${sizeBytes}`,
    },
    body: content.subarray(from, to),
  };
}

/** Whether somebody's end of a connection to this port of 127.0.0.1 has not heard yet that the other end was closed. */
function isEstablished(port: number): boolean {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const established = '01';
  return readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .some((line) => {
      const [, , to, state] = line.trim().split(/\s+/);
      return to === remote && state === established;
    });
}

/** Another worker, whose answers a test may change. */
class Owner {
  readonly asked: IncomingMessage[] = [];
  readonly sockets = new Set<Socket>();
  answer: RequestListener = answerFile;
  port = 0;
  readonly #server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    this.asked.push(request);
    this.answer(request, response);
  }).on('connection', (socket: Socket) => {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
  });

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function answerFile(request: IncomingMessage, response: ServerResponse): void {
  const { status, headers, body } = fileAnswer(request.headers.range);
  response.writeHead(status, { ...headers, 'x-alluxio-cache': 'hit', 'x-amz-request-id': 'theirs' });
  response.end(body);
}

/** The head and a first part of the answer; the rest never comes. */
function answerInPart(partBytes: number): RequestListener {
  return (request, response) => {
    const { status, headers, body } = fileAnswer(request.headers.range);
    response.writeHead(status, headers);
    response.write(body.subarray(0, partBytes));
  };
}

class Rig {
  readonly owner = new Owner();
  /** What came up: method, range, and what else a test looks at. */
  readonly asked: string[] = [];
  etagHere = etag;
  /** What the surface's answers wait for. */
  gate: Promise<void> = Promise.resolve();
  readonly transport = new HotpathTransport({
    ...plainTransportDefaults,
    ...hotpathTransportDefaults,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    slots: new SlotPool({ slotCount: 1, slotSizeBytes: 4096 }),
    onAnswered: () => undefined,
    onTableReport: ({ answers, listeners }) => {
      this.logged.push(...answers);
      for (const { relayedBytes, relayedCount } of listeners) {
        this.relayed.count += relayedCount;
        this.relayed.bytes += relayedBytes;
      }
    },
    timeBoundsMs: [],
    reportsAnswers: true,
  });
  readonly logged: AnsweredRequest[] = [];
  readonly relayed = { count: 0, bytes: 0 };
  #port = 0;

  async start(): Promise<void> {
    await this.owner.listen();
    const handler = (request: TransportRequest): Promise<TransportResponse> => this.#handle(request);
    const { port } = await this.transport.listen({ host: '127.0.0.1', port: 0, name: 's3', handler });
    this.#port = port;
  }

  async stop(): Promise<void> {
    await this.transport.close({ deadlineMs: 0 });
    await this.owner.close();
  }

  /** Closed by the test. */
  connect(): RawClient {
    return new RawClient(this.#port);
  }

  /** Each on a connection of its own. */
  async get(headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<Answer> {
    const client = this.connect();
    try {
      client.send(requestOf(headers, method));
      const received = await client.until((text) => isWhole(text, method));
      return answerOf(received);
    } finally {
      client.close();
    }
  }

  /** Resolves once the route of GET is known. */
  async learn(method = 'GET'): Promise<void> {
    await this.get({}, method);
    this.asked.length = 0;
  }

  async #handle(request: TransportRequest): Promise<TransportResponse> {
    const range = request.headers.get('range');
    this.asked.push(`${request.method} ${range ?? 'all'}`);
    const { port } = this.owner;
    await this.gate;
    const { status, headers, body } = fileAnswer(range);
    const isHead = request.method === 'HEAD';
    return {
      status,
      headers: Object.entries({ ...headers, etag: this.etagHere, 'x-alluxio-cache': 'miss' }),
      body: {
        kind: 'parts',
        lengthBytes: body.length,
        next: async (offset) => ({
          kind: 'stream',
          stream: piecesOf(isHead ? Buffer.alloc(0) : body.subarray(offset)),
          lengthBytes: body.length - offset,
        }),
        close: () => undefined,
      },
      reusableRoute: () => ({
        host: '127.0.0.1',
        port,
        target: '/internal/peer/s3/b/f',
        headers: [['x-mark', `of ${request.method}`]],
        validForMs: 60_000,
        requestIdHeader: 'x-amz-request-id',
      }),
    };
  }
}

async function* piecesOf(bytes: Buffer): AsyncIterable<Uint8Array> {
  yield bytes;
}

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

function requestOf(headers: Readonly<Record<string, string>> = {}, method = 'GET'): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} /b/f HTTP/1.1\r\nhost: h\r\n${lines.join('')}\r\n`;
}

function isWhole(text: string, method: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
  return method === 'HEAD' || text.startsWith('HTTP/1.1 304') || text.length >= end + 4 + length;
}

function answerOf(text: string): Answer {
  const end = text.indexOf('\r\n\r\n');
  return {
    status: Number(text.slice(9, 12)),
    head: text.slice(0, end + 2),
    body: Buffer.from(text.slice(end + 4), 'latin1'),
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(pollMs, {});
}

async function withRig(t: Test, use: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = new Rig();
  t.teardown(() => rig.stop());
  await rig.start();
  await use(rig);
}

function describeRelay(t: Test): void {
  t.test('after the first, requests go to the owner without the surface', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      const whole = await rig.get();
      t.equal(whole.status, 200);
      t.ok(whole.body.equals(content));
      t.match(whole.head, /\r\nx-alluxio-cache: hit-peer\r\n/);
      t.match(whole.head, /\r\nx-amz-request-id: [0-9a-f]{12}h[0-9a-f]{8}\r\n/);
      t.notMatch(whole.head, /theirs|keep-alive/);
      t.equal(whole.head.match(/\r\ndate: /gi)?.length, 1);
      const part = await rig.get({ range: 'bytes=10-300009', 'if-match': etag, 'user-agent': 'u' });
      t.equal(part.status, 206);
      t.ok(part.body.equals(content.subarray(10, 300_010)));
      t.strictSame(rig.asked, []);
      const [, asked] = rig.owner.asked;
      t.match(asked, { method: 'GET', url: '/internal/peer/s3/b/f' });
      t.match(asked?.headers, { 'x-mark': 'of GET', range: 'bytes=10-300009', 'if-match': etag });
      t.match(asked?.headers['x-alluxio-request-id'], /^[0-9a-f]{12}h[0-9a-f]{8}$/);
      t.notOk(asked?.headers['user-agent'], 'what says nothing to the owner stays here');
      t.equal(rig.owner.sockets.size, 1, 'one connection carries one after the other');
      rig.transport.report();
      t.strictSame(rig.relayed, { count: 2, bytes: sizeBytes + 300_000 });
      const line = { listener: 's3', method: 'GET', target: '/b/f', outcome: 'hit-peer', isComplete: true };
      t.match(rig.logged, [
        { ...line, status: 200, sentBytes: sizeBytes },
        { ...line, status: 206, sentBytes: 300_000, remoteAddress: '127.0.0.1' },
      ]);
      const { requestId = '' } = rig.logged[1] ?? {};
      t.match(part.head, `x-amz-request-id: ${requestId}`, 'one id for the client, the log');
      t.equal(asked?.headers['x-alluxio-request-id'], requestId, 'and the owner');
    });
  });

  t.test('HEAD has a route of its own, and 304 has no body', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      await rig.get({}, 'HEAD');
      t.strictSame(rig.asked, ['HEAD all']);
      await rig.learn('HEAD');
      rig.owner.answer = (request, response) => {
        const isKnown = request.headers['if-none-match'] === etag;
        response.writeHead(isKnown ? 304 : 200, {
          etag,
          ...(isKnown ? {} : { 'content-length': sizeBytes }),
        });
        response.end();
      };
      const client = rig.connect();
      t.teardown(() => client.close());
      client.send(requestOf({}, 'HEAD') + requestOf({ 'if-none-match': etag }));
      const text = await client.until((received) => received.split('\r\n\r\n').length === 3);
      t.match(text, /^HTTP\/1.1 200 OK\r\n(.*\r\n)*content-length: 1000003\r\n/);
      t.match(text, /\r\n\r\nHTTP\/1.1 304 Not Modified\r\netag/);
      t.strictSame(rig.asked, []);
    });
  });

  t.test('requests that come at once on one connection are answered in their order', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      const client = rig.connect();
      t.teardown(() => client.close());
      const ranges = Array.from({ length: 20 }, (_, index) => [index * 1000, index * 1000 + 9] as const);
      client.send(ranges.map(([from, last]) => requestOf({ range: `bytes=${from}-${last}` })).join(''));
      const text = await client.until(
        (received) =>
          received.split('HTTP/1.1 206').length === 21 &&
          received.endsWith(content.subarray(19_000, 19_010).toString('latin1')),
      );
      const given = [...text.matchAll(/content-range: bytes (\d+)/g)].map(([, from]) => Number(from));
      t.strictSame(
        given,
        ranges.map(([from]) => from),
      );
      t.strictSame(rig.asked, []);
    });
  });

  t.test(
    'whatever needs a decision comes up before a byte is sent, and the route is learned anew',
    async (t) => {
      await withRig(t, async (rig) => {
        await rig.learn();
        const answers: readonly [string, RequestListener][] = [
          [
            'a mark that is refused',
            (_, response) => response.writeHead(403, { 'x-alluxio-peer-refused': '1' }).end(),
          ],
          ['an error', (_, response) => response.writeHead(503, { 'content-length': '0' }).end()],
          ['no length', (_, response) => response.writeHead(200).end('chunked')],
          ['no answer', (request) => request.socket.resetAndDestroy()],
          ['nonsense', (request) => request.socket.end('SSH-2.0\r\n\r\n')],
          ['silence', () => undefined],
        ];
        for (const [what, answer] of answers) {
          rig.owner.answer = answer;
          const { body, head, status } = await rig.get({ range: 'bytes=5-9' });
          t.strictSame([status, body], [206, content.subarray(5, 10)], what);
          t.match(head, 'x-alluxio-cache: miss', what);
          t.strictSame(rig.asked.splice(0), ['GET bytes=5-9'], what);
          rig.owner.answer = answerFile;
          const askedCount = rig.owner.asked.length;
          await rig.get();
          t.equal(rig.owner.asked.length, askedCount + 1, `after ${what}`);
          rig.asked.length = 0;
        }
        await rig.owner.close();
        t.equal((await rig.get()).body.length, sizeBytes, 'nobody there');
        t.strictSame(rig.asked, ['GET all']);
      });
    },
  );

  t.test('a request that asks for what only the surface knows comes up, and the route stays', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      await rig.get({ 'x-amz-acl': 'private' });
      await rig.get({ connection: 'close' });
      t.equal(rig.asked.length, 2);
      await rig.get();
      t.equal(rig.asked.length, 2);
    });
  });

  t.test('what an owner that breaks off leaves comes from the surface, of the same version', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      for (const [range, from, to] of [
        [undefined, 0, sizeBytes],
        ['bytes=100-700099', 100, 700_100],
      ] as const) {
        rig.owner.answer = answerInPart(200_000);
        const client = rig.connect();
        t.teardown(() => client.close());
        client.send(requestOf(range === undefined ? {} : { range }));
        await client.until((received) => received.length > 200_000);
        for (const socket of rig.owner.sockets) socket.destroy();
        const { body } = answerOf(await client.until((text) => isWhole(text, 'GET')));
        t.ok(body.equals(content.subarray(from, to)), range ?? 'all');
        t.strictSame(rig.asked.splice(0), [`GET bytes=${from + 200_000}-${to - 1}`]);
        rig.owner.answer = answerFile;
      }
    });
  });

  t.test('an answer is never completed by bytes of another version, or of none', async (t) => {
    await withRig(t, async (rig) => {
      for (const isNamed of [true, false]) {
        await rig.learn();
        rig.etagHere = '"v2"';
        rig.owner.answer = (request, response) => {
          const { headers, body } = fileAnswer(request.headers.range);
          response.writeHead(200, isNamed ? headers : { 'content-length': sizeBytes });
          response.write(body.subarray(0, 1000));
        };
        const client = rig.connect();
        client.send(requestOf());
        await client.until((received) => received.length > 1000);
        for (const socket of rig.owner.sockets) socket.destroy();
        const received = await client.toEnd();
        t.ok(received.length < 2000, 'the connection ended where the owner did');
        t.equal(rig.asked.length, isNamed ? 1 : 0);
        rig.etagHere = etag;
        rig.owner.answer = answerFile;
      }
    });
  });

  t.test('a client that does not read keeps the owner waiting, and gets all in the end', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      const big = 256 * 1024 * 1024;
      const piece = Buffer.alloc(1024 * 1024, 7);
      let sentBytes = 0;
      rig.owner.answer = (_, response) => {
        response.writeHead(200, { etag, 'content-length': big });
        const more = (): void => {
          while (sentBytes < big) {
            sentBytes += piece.length;
            if (!response.write(piece)) {
              response.once('drain', more);
              return;
            }
          }
          response.end();
        };
        more();
      };
      const client = rig.connect();
      t.teardown(() => client.close());
      client.socket.removeAllListeners('data');
      client.socket.pause();
      client.send(requestOf());
      let before = -1;
      await until(() => {
        const isStill = sentBytes > 0 && sentBytes === before;
        before = sentBytes;
        return isStill;
      });
      t.ok(sentBytes < big / 2, `${sentBytes} bytes were taken from the owner`);
      let receivedBytes = 0;
      client.socket.on('data', (chunk: Buffer) => {
        receivedBytes += chunk.length;
      });
      client.socket.resume();
      await until(() => receivedBytes > big);
      t.equal(sentBytes, big);
      t.strictSame(rig.asked, []);
    });
  });

  t.test('a client that goes takes its connection to the owner with it', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      rig.owner.answer = answerInPart(1000);
      const client = rig.connect();
      client.send(requestOf());
      await client.until((received) => received.length > 1000);
      t.equal(rig.owner.sockets.size, 1);
      client.reset();
      await until(() => rig.owner.sockets.size === 0);
      t.strictSame(rig.asked, []);
      await until(() => {
        rig.transport.report();
        return rig.logged.length > 0;
      });
      t.match(rig.logged, [{ target: '/b/f', isComplete: false, sentBytes: 1000 }]);
    });
  });

  t.test('a client that ends its side gets the rest of what it has asked', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      const gate = Promise.withResolvers<void>();
      rig.owner.answer = (request, response) => {
        const { body, headers, status } = fileAnswer(request.headers.range);
        response.writeHead(status, headers);
        response.write(body.subarray(0, 1000));
        void gate.promise.then(() => response.end(body.subarray(1000)));
      };
      const client = rig.connect();
      t.teardown(() => client.close());
      client.send(requestOf());
      await client.until((received) => received.length > 1000);
      client.socket.end();
      await once(client.socket, 'finish');
      gate.resolve();
      const { body } = answerOf(await client.toEnd());
      t.ok(body.equals(content), 'and then the connection ends');
      t.strictSame(rig.asked, []);
    });
  });

  t.test('kept connections that the owner closes are made anew, without the surface', async (t) => {
    await withRig(t, async (rig) => {
      await rig.learn();
      for (let round = 0; round < 3; round++) {
        await rig.get({ range: 'bytes=0-9' });
        for (const socket of rig.owner.sockets) socket.destroy();
        // Told of the end before it is asked again: its thread has heard of both in the order in which they came.
        await until(() => rig.owner.sockets.size === 0 && !isEstablished(rig.owner.port));
        t.equal((await rig.get({ range: 'bytes=0-9' })).status, 206);
      }
      rig.owner.answer = (request, response) => {
        response.setHeader('connection', 'close');
        answerFile(request, response);
      };
      for (let round = 0; round < 3; round++) t.equal((await rig.get()).status, 200);
      t.strictSame(rig.asked, []);
    });
  });

  t.test('a dropped route is not used, nor put by who asked before', async (t) => {
    await withRig(t, async (rig) => {
      for (const kind of ['routes', 'all'] as const) {
        await rig.learn();
        rig.transport.drop({ kind });
        await rig.get();
        t.equal(rig.asked.length, 1, kind);
        const gate = Promise.withResolvers<void>();
        rig.transport.drop({ kind });
        rig.gate = gate.promise;
        const slow = rig.get();
        await until(() => rig.asked.length === 2);
        rig.transport.drop({ kind });
        gate.resolve();
        await slow;
        await rig.get();
        t.equal(rig.asked.length, 3, `${kind}, while one was under way`);
      }
    });
  });
}

if (isHotpathBuilt()) describeRelay(t);
else t.pass('the addon was not built: there is no cargo here');
