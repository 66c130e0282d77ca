import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { errnoOf } from '@alluxio-ts/common/errors';
import { findNativePages } from '@alluxio-ts/transport/hotpath-native';
import { type FileWriter, PoolFileWriter, ThreadFileWriter } from '@alluxio-ts/worker/page-store/file-writer';
import t from 'tap';

const native = findNativePages();
const kinds: readonly (readonly [string, () => FileWriter])[] = [
  ['by the pool', () => new PoolFileWriter()],
  ...(native ? ([['by a thread', () => new ThreadFileWriter(native)]] as const) : []),
];

for (const [kind, create] of kinds) {
  t.test(`a writer, ${kind}`, async (t) => {
    const writer = create();
    t.teardown(() => writer.close());
    const path = join(t.testdir({}), 'file');
    const fd = openSync(path, 'wx+');
    t.teardown(() => closeSync(fd));

    await t.test('writes pieces of all sizes one behind the other, where it is asked to', async (t) => {
      const sizes = [4096, 0, 1, 3 * 512 * 1024 + 7, 512 * 1024, 0];
      const pieces = sizes.map((size) => randomBytes(size));
      await writer.write(fd, pieces, 1000);
      t.ok(readFileSync(path).subarray(1000).equals(Buffer.concat(pieces)));
      t.ok(
        readFileSync(path)
          .subarray(0, 1000)
          .every((byte) => byte === 0),
      );
    });

    await t.test('takes more pieces than one call of the kernel does', async (t) => {
      const bytes = randomBytes(3000 * 11);
      const pieces = Array.from({ length: 3000 }, (_, index) => bytes.subarray(index * 11, index * 11 + 11));
      await writer.write(fd, pieces, 0);
      t.ok(readFileSync(path).subarray(0, bytes.length).equals(bytes));
    });

    await t.test('takes shared memory, and nothing', async (t) => {
      const shared = new Uint8Array(new SharedArrayBuffer(100), 10, 50).fill(7);
      await writer.write(fd, [shared], 5);
      await writer.write(fd, [], 5);
      t.ok(
        readFileSync(path)
          .subarray(5, 55)
          .every((byte) => byte === 7),
      );
    });

    await t.test('writes what is asked for at the same time', async (t) => {
      const pages = Array.from({ length: 40 }, () => randomBytes(100_000));
      await Promise.all(pages.map((page, index) => writer.write(fd, [page], index * page.length)));
      t.ok(readFileSync(path).subarray(0, 4_000_000).equals(Buffer.concat(pages)));
    });

    await t.test('fails as the file does, and goes on', async (t) => {
      const full = openSync('/dev/full', 'w');
      t.teardown(() => closeSync(full));
      const failed = writer.write(full, [randomBytes(10)], 0);
      const done = writer.write(fd, [Buffer.from('after')], 0);
      const error = await failed.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      t.equal(errnoOf(error), 'ENOSPC');
      t.match(error, { message: 'ENOSPC: no space left on device, write', syscall: 'write' });
      await done;
      t.equal(readFileSync(path).toString('latin1', 0, 5), 'after');
    });
  });
}

if (native) {
  t.test('the thread ends with what it was asked for; nothing can be asked after', async (t) => {
    const path = join(t.testdir({}), 'file');
    const fd = openSync(path, 'wx+');
    t.teardown(() => closeSync(fd));
    // That of the test before.
    await writerThreadsEnd();
    const writer = new ThreadFileWriter(native);
    await writer.write(fd, [randomBytes(10)], 0);
    t.equal(writerThreadCount(), 1);
    const bytes = randomBytes(8 * 1024 * 1024);
    const written = writer.write(fd, [bytes], 0);
    writer.close();
    await written;
    t.ok(readFileSync(path).equals(bytes));
    await writerThreadsEnd();
    await t.rejects(writer.write(fd, [bytes], 0), { message: /closed/ });
  });

  t.test('a process ends although it has a writer that nobody closed', async (t) => {
    const url = import.meta.resolve('@alluxio-ts/worker/page-store/file-writer');
    const script = `const { createFileWriter } = await import('${url}'); createFileWriter(); console.log('over');`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { timeout: 20_000 },
    );
    t.equal(stdout, 'over\n');
  });
}

/** A thread that has ended is in the list for a moment. */
async function writerThreadsEnd(): Promise<void> {
  const dueMs = systemClock.monotonic() + 10_000;
  while (writerThreadCount() > 0) {
    if (systemClock.monotonic() > dueMs) throw new Error('a writer thread has not ended');
    await systemClock.sleep(5);
  }
}

function writerThreadCount(): number {
  const threads = readdirSync('/proc/self/task');
  return threads.filter((thread) => readNameOf(thread) === 'page-writer').length;
}

/** '' of one that has just ended. */
function readNameOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}
