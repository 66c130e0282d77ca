/** Answers received straight into memory, from a server that writes what it is told, byte for byte. */

import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { systemClock } from '@alluxio-ts/common/clock';
import { RetryBudget } from '@alluxio-ts/ufs-adapters/retry-budget';
import { DirectPool } from '@alluxio-ts/ufs-adapters/s3/direct-pool';
import { Patience } from '@alluxio-ts/ufs-adapters/s3/patience';
import t, { type Test } from 'tap';

const patience = new Patience({ clock: systemClock, leastMs: 5000, budget: new RetryBudget() });

interface Server {
  readonly port: number;
  /** Every connection so far. */
  readonly sockets: readonly Socket[];
  readonly requests: readonly string[];
}

/** Calls `answer` for each request head that came whole. */
async function serve(t: Test, answer: (socket: Socket, count: number) => void): Promise<Server> {
  const sockets: Socket[] = [];
  const requests: string[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        requests.push(text.slice(0, end));
        text = text.slice(end + 4);
        answer(socket, requests.length);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, requests };
}

function poolOf(t: Test, { port }: Server, connectionsMax = 4, timeoutMs = 5000): DirectPool {
  const pool = new DirectPool({
    host: '127.0.0.1',
    port,
    connectionsMax,
    connectTimeoutMs: timeoutMs,
    headTimeoutMs: timeoutMs,
    silenceTimeoutMs: timeoutMs,
    idleTimeoutMs: timeoutMs,
  });
  t.teardown(() => pool.close(new Error('the test is over')));
  return pool;
}

async function get(pool: DirectPool, sizeBytes: number, signal?: AbortSignal): Promise<string> {
  const into = new Uint8Array(sizeBytes);
  const { whole } = await pool.get({ head: 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n', into, signal, patience });
  return Buffer.from(await whole()).toString();
}

const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

void t.test('a connection is used again, and as many as are needed are made', async (t) => {
  const server = await serve(t, (socket) => socket.write(plain));
  const pool = poolOf(t, server, 2);
  for (let turn = 0; turn < 5; turn++) t.equal(await get(pool, 5), 'hello');
  t.equal(server.sockets.length, 1);
  const answers = await Promise.all(Array.from({ length: 10 }, () => get(pool, 5)));
  t.same(new Set(answers), new Set(['hello']));
  t.equal(server.sockets.length, 2, 'the bound is kept');
});

void t.test('what came while this process was busy is not late', async (t) => {
  const timeoutMs = 50;
  const sleep = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  // Nobody reads before the time for it is over, and then the timer has its turn first.
  const server = await serve(t, (socket, count) => {
    const cut = count === 1 ? 0 : plain.length - 2;
    socket.write(plain.slice(0, cut));
    setTimeout(() => {
      setImmediate(() => {
        socket.write(plain.slice(cut));
        sleep(3 * timeoutMs);
      });
    }, timeoutMs / 5);
  });
  const pool = poolOf(t, server, 4, timeoutMs);
  t.equal(await get(pool, 5), 'hello', 'nothing had come before');
  t.equal(await get(pool, 5), 'hello', 'the head had');
  t.equal(server.requests.length, 2);
});

void t.test('an answer in any pieces is the same answer', async (t) => {
  const wanted =
    'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 206 \r\nA: 1\r\na:2\r\nCONTENT-LENGTH:5\r\n\r\nhello';
  let cut = 0;
  const server = await serve(t, (socket) => {
    socket.write(wanted.slice(0, cut));
    setImmediate(() => socket.write(wanted.slice(cut)));
  });
  const pool = poolOf(t, server);
  for (cut = 1; cut < wanted.length; cut++) {
    const into = new Uint8Array(8);
    const { head, whole } = await pool.get({
      head: 'GET / HTTP/1.1\r\n\r\n',
      into,
      signal: undefined,
      patience,
    });
    t.match(head, { statusCode: 206, headers: { a: '1, 2' }, lengthBytes: 5 });
    t.equal(Buffer.from(await whole()).toString(), 'hello', `cut at ${cut}`);
    t.equal(Buffer.from(into).toString(), 'hello\0\0\0');
  }
  t.equal(server.sockets.length, 1);
});

void t.test('a body is whole when its last piece is there, and each piece is told', async (t) => {
  const server = await serve(t, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
  const into = new Uint8Array(9);
  const request = { head: 'GET / HTTP/1.1\r\n\r\n', into, signal: undefined, patience };
  const pool = poolOf(t, server);
  for (const isTold of [true, false]) {
    const response = await pool.get(request);
    const counts: number[] = [];
    const whole = response.whole(isTold ? (count) => void counts.push(count) : undefined);
    for (const piece of ['def', 'ghi']) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      server.sockets[0]?.write(piece);
    }
    t.equal(Buffer.from(await whole).toString(), 'abcdefghi');
    t.same(counts, isTold ? [3, 6, 9] : []);
  }
});

void t.test('what is not HTTP, or could be read in two ways, is refused', async (t) => {
  const bad: readonly string[] = [
    'nonsense\r\n\r\n',
    'HTTP/2 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n folded\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`,
  ];
  let next = '';
  const server = await serve(t, (socket) => socket.write(next));
  const pool = poolOf(t, server);
  for (next of bad) {
    await t.rejects(get(pool, 5), { code: 'HPE_INVALID' }, next.slice(0, 80));
  }
  next = plain;
  t.equal(await get(pool, 5), 'hello', 'and the next request has a connection of its own');
});

void t.test('a connection that the store gave up meanwhile costs no failure', async (t) => {
  let isClosing = false;
  const server = await serve(t, (socket) => {
    if (isClosing) socket.resetAndDestroy();
    else socket.write(plain);
    isClosing = false;
  });
  const pool = poolOf(t, server);
  t.equal(await get(pool, 5), 'hello');
  isClosing = true;
  t.equal(await get(pool, 5), 'hello', 'asked again on a new one');
  t.equal(server.sockets.length, 2);
  t.equal(server.requests.length, 3);
  const fresh = poolOf(t, server);
  isClosing = true;
  await t.rejects(get(fresh, 5), { code: /ECONNRESET|HTTP_ENDED/ }, 'once, not on a connection that is new');
});

void t.test('bytes that nobody asked for end the connection and reach no answer', async (t) => {
  const server = await serve(t, (socket) => socket.write(plain));
  const pool = poolOf(t, server);
  t.equal(await get(pool, 5), 'hello');
  const [first] = server.sockets;
  first?.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong');
  if (first) await once(first, 'close');
  t.equal(await get(pool, 5), 'hello');
  t.equal(server.sockets.length, 2);
});

void t.test('memory that was given up is not written to any more', async (t) => {
  const server = await serve(t, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
  const pool = poolOf(t, server);
  const into = new Uint8Array(9);
  const response = await pool.get({ head: 'GET / HTTP/1.1\r\n\r\n', into, signal: undefined, patience });
  const { promise: some, resolve } = Promise.withResolvers<number>();
  const whole = response.whole(resolve);
  t.equal(await some, 3);
  t.equal(Buffer.from(into).toString('latin1', 0, 3), 'abc');
  response.discard();
  await t.rejects(whole);
  into.fill(0);
  const [socket] = server.sockets;
  socket?.write('defghi');
  if (socket) await once(socket, 'close');
  t.same(into, new Uint8Array(9));
  const control = new AbortController();
  const reason = new Error('enough');
  const reading = get(pool, 9, control.signal);
  setImmediate(() => control.abort(reason));
  await t.rejects(reading, reason);
});

void t.test('a body that does not fit, or has no length, is not received', async (t) => {
  let next = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!';
  const server = await serve(t, (socket) => socket.write(next));
  const pool = poolOf(t, server);
  await t.rejects(get(pool, 5), { message: /longer than what was asked for/ });
  next = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
  const chunked = await pool.get({
    head: 'GET / HTTP/1.1\r\n\r\n',
    into: new Uint8Array(5),
    signal: undefined,
    patience,
  });
  t.equal(chunked.head.lengthBytes, undefined);
  chunked.discard();
  next = `HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot there`;
  t.equal(await get(pool, 5), 'not there', 'the document of an error has memory of its own');
});

void t.test('an answer that says so is the last of its connection, and one of HTTP/1.0 too', async (t) => {
  const answers = [
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  ];
  for (const answer of answers) {
    const server = await serve(t, (socket) => socket.write(answer));
    const pool = poolOf(t, server);
    t.equal(await get(pool, 5), 'hello');
    t.equal(await get(pool, 5), 'hello');
    t.equal(server.sockets.length, 2);
  }
});

/** A pattern in which every place is another. */
function bytesOf(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 4 <= lengthBytes; at += 4) bytes.writeUInt32LE(at, at);
  return bytes;
}

const partBytes = 80_000;
const partedBody = bytesOf(2.5 * partBytes);
const partedAnswer = Buffer.concat([
  Buffer.from(`HTTP/1.1 206 Partial\r\nContent-Length: ${partedBody.length}\r\n\r\n`),
  partedBody,
]);

async function firstPart(pool: DirectPool, nextBytes = partedBody.length - partBytes): Promise<Buffer> {
  const into = new Uint8Array(partBytes);
  const part = { of: 'x', offset: 0, nextBytes };
  const response = await pool.get({
    head: 'GET / HTTP/1.1\r\n\r\n',
    into,
    signal: undefined,
    patience,
    part,
  });
  return Buffer.from(await response.whole());
}

async function nextPart(
  pool: DirectPool,
  offset: number,
  lengthBytes = partBytes,
): Promise<Buffer | undefined> {
  const into = new Uint8Array(lengthBytes);
  const response = await pool.next({ of: 'x', offset, nextBytes: 0 }, into);
  return response && Buffer.from(await response.whole());
}

void t.test('a longer answer goes on where there was no memory for more', async (t) => {
  const server = await serve(t, (socket) => socket.write(partedAnswer));
  const pool = poolOf(t, server);
  t.equal(await nextPart(pool, 0), undefined, 'nothing has begun');
  for (const turn of [1, 2]) {
    t.ok((await firstPart(pool)).equals(partedBody.subarray(0, partBytes)));
    t.equal(await nextPart(pool, partBytes + 1), undefined, 'other bytes');
    t.ok((await nextPart(pool, partBytes))?.equals(partedBody.subarray(partBytes, 2 * partBytes)));
    t.equal(await nextPart(pool, partBytes), undefined, 'they were taken');
    t.ok((await nextPart(pool, 2 * partBytes, partBytes / 2))?.equals(partedBody.subarray(2 * partBytes)));
    t.equal(server.requests.length, turn);
  }
  t.equal(server.sockets.length, 1, 'the connection is free when all of it was taken');
  await firstPart(pool);
  t.equal(await nextPart(pool, partBytes, 2 * partBytes), undefined, 'so much is not left');
});

void t.test('an answer that nobody goes on with is ended, at once where its place is wanted', async (t) => {
  const server = await serve(t, (socket) => socket.write(partedAnswer));
  const pool = poolOf(t, server, 1);
  await firstPart(pool);
  await firstPart(pool);
  t.equal(server.sockets.length, 2);
  t.equal(server.sockets[0]?.destroyed, true);
  const [, second] = server.sockets;
  if (second && !second.closed) await new Promise((resolve) => second.once('close', resolve));
  t.equal(await nextPart(pool, partBytes), undefined);
  t.ok(await firstPart(pool), 'its place is free');
});

void t.test(
  'an answer whose connection has ended meanwhile is not gone on with; one that ends on its way fails',
  async (t) => {
    let sentBytes = partedAnswer.length - partedBody.length + partBytes;
    const server = await serve(t, (socket) => socket.end(partedAnswer.subarray(0, sentBytes)));
    const pool = poolOf(t, server);
    await firstPart(pool);
    t.equal(await nextPart(pool, partBytes), undefined);
    sentBytes += 1000;
    await firstPart(pool);
    await t.rejects(nextPart(pool, partBytes), { code: 'HTTP_ENDED' });
  },
);

void t.test('bytes behind the end of a longer answer are those of nobody', async (t) => {
  const lengthBytes = partBytes + 7;
  const head = `HTTP/1.1 206 Partial\r\nContent-Length: ${lengthBytes}\r\n\r\n`;
  const server = await serve(t, (socket) => socket.write(head + 'x'.repeat(lengthBytes + 1)));
  const pool = poolOf(t, server);
  await firstPart(pool, 7);
  t.equal(await nextPart(pool, partBytes, 7), undefined, 'the answer is not what it said');
});
