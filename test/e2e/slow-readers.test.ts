/** Readers that take their bytes late get the right ones, whatever is read meanwhile: memory is used again only when it is sent. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: {} });
const dataDir = join(root, 'data');
const fileCount = 6;
const contentOf = (file: number): Buffer => {
  const words = new Uint32Array((8 * MIB) / 4);
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 2_654_435_761 + 2 * file);
  return Buffer.from(words.buffer);
};
const hashes: string[] = [];
for (let file = 0; file < fileCount; file++) {
  const content = contentOf(file);
  hashes.push(createHash('sha256').update(content).digest('hex'));
  await writeFile(join(dataDir, `f-${file}`), content);
}
const running = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
  definitions: ['alluxio.worker.metadata.default.max.age=1h'],
});
t.teardown(() => running.stop());
const urlOf = (file: number): string => `${running.s3}/data/f-${file}`;

async function readWhole(file: number): Promise<string> {
  const response = await fetch(urlOf(file));
  return createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex');
}

/** A reader that has asked and takes nothing until `rest`. */
async function startSlowly(file: number): Promise<{ rest(): Promise<string>; readonly socket: Socket }> {
  const { hostname, port } = new URL(running.s3);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET /data/f-${file} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const rest = async (): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const all = Buffer.concat(chunks);
    return createHash('sha256')
      .update(all.subarray(all.indexOf('\r\n\r\n') + 4))
      .digest('hex');
  };
  return { rest, socket };
}

t.test('slow readers between fast ones', async (t) => {
  for (let file = 0; file < fileCount; file++) await readWhole(file);
  await running.standalone.worker.cache.idle();
  const slow = await Promise.all(Array.from({ length: 12 }, (_, lane) => startSlowly(lane % fileCount)));
  // More of them go away in the middle than there are buffers.
  const gone = await Promise.all(Array.from({ length: 40 }, (_, lane) => startSlowly(lane % fileCount)));
  for (let round = 0; round < 10; round++) {
    for (const { socket } of gone.slice(4 * round, 4 * round + 4)) socket.destroy();
    const read = await Promise.all(Array.from({ length: fileCount }, (_, file) => readWhole(file)));
    t.strictSame(read, hashes);
  }
  const late = await Promise.all(slow.map((reader) => reader.rest()));
  t.strictSame(
    late,
    late.map((_, lane) => hashes[lane % fileCount]),
  );
  t.equal((await fetch(urlOf(0))).headers.get('x-alluxio-cache'), 'hit', 'all of it came from the disk');
});

t.test('parts of blocks, many at once', async (t) => {
  const content = contentOf(3);
  for (let round = 0; round < 10; round++) {
    const wrong = await Promise.all(
      Array.from({ length: 64 }, async (_, lane) => {
        const from = (round * 7_919 + lane * 131_071) % (8 * MIB - 20_000);
        const headers = { range: `bytes=${from}-${from + 4095 + lane}` };
        const bytes = Buffer.from(await (await fetch(urlOf(3), { headers })).arrayBuffer());
        return bytes.equals(content.subarray(from, from + 4096 + lane)) ? [] : [from];
      }),
    );
    t.strictSame(wrong.flat(), []);
  }
});
