/** Flips bits of cached pages on the device itself while a whole worker serves the files over HTTP, by either transport: no wrong byte may go out. */

import { randomFillSync } from 'node:crypto';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { seededRandom, segmentPaths } from '../../packages/worker/test/page-store-fixture.ts';
import { metricOf, startTestStandalone } from '../support/standalone.ts';
import { directEndOf, flipOnDevice } from './direct-file.ts';

export interface ServedFlipOptions {
  /** On a file system with direct I/O: not tmpfs. */
  readonly dir: string;
  readonly transport: 'plain' | 'hotpath';
  readonly seed: number;
  readonly rounds: number;
}

export interface ServedFlips {
  readonly flipCount: number;
  readonly answerCount: number;
  /** Answers that the hot path gave by itself. */
  readonly tableCount: number;
  readonly corruptCount: number;
}

interface ServedFile {
  readonly path: string;
  readonly bytes: Buffer;
}

const flipsPerRound = 12;
const readsPerRound = 240;
const readerCount = 8;
const sizes = [900, 60 * KIB, 64 * KIB + 1, 300 * KIB, MIB, 5 * MIB + 123];
const filesPerSize = 3;

/** Throws at the first byte that is served wrong. */
export async function flipWhileServing({
  dir,
  rounds,
  seed,
  transport,
}: ServedFlipOptions): Promise<ServedFlips> {
  const random = seededRandom(seed);
  const files = makeFiles(join(dir, 'data'));
  const running = await startTestStandalone({
    workDir: dir,
    mounts: [{ path: '/data', ufsUri: join(dir, 'data'), options: {} }],
    definitions: [`alluxio.worker.transport=${transport}`],
  });
  const { standalone, web } = running;
  const agent = new Agent({ keepAlive: true, maxSockets: readerCount });
  const read = (file: ServedFile, from: number, to: number): Promise<void> =>
    readAndCompare({ agent, port: standalone.worker.s3Port, file, from, to });
  let flipCount = 0;
  let answerCount = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      for (let pass = 0; pass < 3; pass++) {
        for (const file of files) await read(file, 0, file.bytes.length);
        await standalone.worker.cache.idle();
      }
      for (const path of segmentPaths(join(dir, 'pages'))) {
        const endBytes = directEndOf(statSync(path).size);
        const flips = Array.from({ length: flipsPerRound }, () => ({
          offset: random(endBytes),
          bit: random(8),
        }));
        flipOnDevice(path, flips);
        flipCount += flips.length;
      }
      const readers = Array.from({ length: readerCount }, async () => {
        for (let count = 0; count < readsPerRound / readerCount; count++) {
          const file = files[random(files.length)];
          if (!file) throw new Error('there is no file');
          const from = random(2) === 0 ? 0 : random(file.bytes.length);
          await read(
            file,
            from,
            random(2) === 0 ? file.bytes.length : from + 1 + random(file.bytes.length - from),
          );
        }
      });
      await Promise.all(readers);
      answerCount += readsPerRound + 3 * files.length;
    }
    return {
      flipCount,
      answerCount,
      tableCount: transport === 'hotpath' ? await metricOf(web, 'alluxio_hotpath_answers_total') : 0,
      corruptCount: await metricOf(web, 'alluxio_page_store_corrupt_pages_total'),
    };
  } finally {
    agent.destroy();
    await running.stop();
  }
}

function makeFiles(dir: string): readonly ServedFile[] {
  mkdirSync(dir, { recursive: true });
  return sizes.flatMap((size) =>
    Array.from({ length: filesPerSize }, (_, index) => {
      const bytes = randomFillSync(Buffer.alloc(size));
      const name = `${size}-${index}.bin`;
      writeFileSync(join(dir, name), bytes);
      return { path: `/data/${name}`, bytes };
    }),
  );
}

function readAndCompare(asked: {
  readonly agent: Agent;
  readonly port: number;
  readonly file: ServedFile;
  readonly from: number;
  readonly to: number;
}): Promise<void> {
  const { agent, file, from, port, to } = asked;
  const headers = { range: `bytes=${from}-${to - 1}` };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path: file.path, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const isRight =
          response.statusCode === 206 && Buffer.concat(chunks).equals(file.bytes.subarray(from, to));
        if (isRight) resolve();
        else
          reject(
            new Error(`${file.path}, bytes ${from} to ${to}: wrong bytes or status ${response.statusCode}`),
          );
      });
    });
    request.on('error', reject);
    request.end();
  });
}
