/**
 * What the native parser takes for a request, Node's takes for the same one. `ALLUXIO_FUZZ_RUNS=100000 npx tap packages/transport/test/parser-fuzz.test.ts`
 * is the long run, some ten minutes.
 */

import { strict as assert } from 'node:assert';
import { METHODS } from 'node:http';
import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { textBody } from '@alluxio-ts/common/body';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import { HotpathTransport, hotpathTransportDefaults } from '@alluxio-ts/transport/hotpath-transport';
import type { PageTransport, TransportRequest } from '@alluxio-ts/transport/page-transport';
import { PlainTransport, plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import fc from 'fast-check';
import t from 'tap';
import { requestSeeds } from './support/request-seeds.ts';

const runCount = Number(process.env['ALLUXIO_FUZZ_RUNS'] ?? 5000);

/** After so long without a byte a connection has nothing more to say: it waits for the rest of a request. What differs then is tried again with the longer time. */
const quietMs = 60;
const quietForCertainMs = 2000;

const last = 'GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n';

interface Seen {
  readonly method: string;
  readonly target: string;
  /** With the first of their values each: what comes after it is joined differently for some names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const pieces = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '"',
  '\x7f',
  '\x80',
  '\xff',
  '%',
  '0',
  '5',
  'f',
  '-',
  '+',

  'Content-Length: 3\r\n',
  'content-length:5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip\r\n',

  'Host: x\r\n',
  'Connection: close\r\n',
  'HTTP/1.0',
  'HTTP/1.1',
  '0\r\n\r\n',
  '3\r\nabc\r\n',
  ' folded\r\n',
  'chunked',
  'expect: 100-continue\r\n',
  'GET /b HTTP/1.1\r\nhost: h\r\n\r\n',
  'upgrade: x\r\n',
];

const edit = fc.record({
  at: fc.nat(300),
  removedCount: fc.oneof(fc.constant(0), fc.nat(3)),
  inserted: fc.oneof(fc.constantFrom(...pieces), fc.constant('')),
});

const input = fc
  .tuple(fc.constantFrom(...requestSeeds), fc.array(edit, { minLength: 1, maxLength: 4 }))
  .map(([seed, edits]) =>
    edits.reduce((text, { at, inserted, removedCount }) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + inserted + text.slice(place + removedCount);
    }, seed),
  );

type Ask = (text: string, quietMs: number) => Promise<readonly Seen[]>;

async function withSurface(
  make: (slots: SlotPool) => PageTransport,
  use: (ask: Ask) => Promise<void>,
): Promise<void> {
  const transport = make(new SlotPool({ slotCount: 1, slotSizeBytes: 4096 }));
  let seen: (Seen | undefined)[] = [];
  const handler = async (request: TransportRequest) => {
    // What comes late for a connection that was given up belongs to no later one.
    const mine = seen;
    // Node lets requests of one connection begin side by side: in their order, and there once they are whole.
    const place = mine.push(undefined) - 1;
    let body = '';
    for await (const piece of request.body) body += Buffer.from(piece).toString('latin1');
    const headers = [...request.headers].map(([name, value]) => [name, value.split(', ')[0] ?? ''] as const);
    const { method, target } = request;
    mine[place] = { method, target, body, headers: Object.fromEntries(headers) };
    return { status: 200, headers: [], body: textBody('') };
  };
  const { port } = await transport.listen({ host: '127.0.0.1', port: 0, name: 'fuzz', handler });
  try {
    await use(async (text, quiet) => {
      seen = [];
      const mine = seen;
      await untilQuiet(port, text, quiet);
      return mine.filter((one) => one !== undefined);
    });
  } finally {
    await transport.close({ deadlineMs: 0 });
  }
}

/** Resolves when the server has closed, or says nothing more. */
function untilQuiet(port: number, text: string, quiet: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(quiet, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve());
    socket.resume();
    socket.write(text + last, 'latin1');
  });
}

/** Node knows so many methods and no other, and answers CONNECT by itself. */
function isKnown({ method }: Seen): boolean {
  return METHODS.includes(method) && method !== 'CONNECT';
}

if (isHotpathBuilt()) {
  t.test('what the native parser takes for requests, Node takes for the same ones', async (t) => {
    const seed = Number(
      process.env['ALLUXIO_FUZZ_SEED'] ?? systemRandom.bytes(3).reduce((sum, byte) => sum * 256 + byte, 0),
    );
    t.comment(`seed ${seed}, ${runCount} runs`);
    const common = {
      ...plainTransportDefaults,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      onAnswered: () => undefined,
    };
    const tableOptions = {
      ...hotpathTransportDefaults,
      onTableReport: () => undefined,
      timeBoundsMs: [1],
      reportsAnswers: false,
    };
    let acceptedCount = 0;
    await withSurface(
      (slots) => new PlainTransport({ ...common, slots }),
      (askPlain) =>
        withSurface(
          (slots) => new HotpathTransport({ ...common, ...tableOptions, slots }),
          async (askNative) => {
            const compare = async (text: string, quiet: number): Promise<readonly [unknown, unknown]> => {
              const [native, plain] = await Promise.all([askNative(text, quiet), askPlain(text, quiet)]);
              const end = native.findIndex((one) => !isKnown(one));
              const comparable = end < 0 ? native : native.slice(0, end);
              acceptedCount += comparable.length;
              return [comparable, plain.slice(0, comparable.length)];
            };
            const property = fc.asyncProperty(input, async (text) => {
              const [native, plain] = await compare(text, quietMs);
              if (isDeepStrictEqual(native, plain)) return;
              assert.deepEqual(...(await compare(text, quietForCertainMs)));
            });
            await fc.assert(property, { seed, numRuns: runCount, endOnFailure: true });
          },
        ),
    );
    t.ok(acceptedCount > runCount / 4, `${acceptedCount} requests were accepted`);
  });
} else {
  t.pass('the addon was not built: there is no cargo here');
}
