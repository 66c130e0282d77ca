/** More clients that take nothing than a worker has places for their answers: the others are told to come back, and are answered once there is a place. */

import { once } from 'node:events';
import { truncate, writeFile } from 'node:fs/promises';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileIdOf } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { until } from '../support/cluster.ts';
import { metricOf, startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

/** More than the buffers of a connection hold at both ends. */
const fileBytes = 32 * MIB;
const answersMax = 3;
const clientCount = 10;
/** The hot path's table has as many places of its own. */
const placesOf = { plain: answersMax, hotpath: 2 * answersMax } as const;

interface Asked {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
}

/** A client that takes the head, and of the body what comes with it. */
async function ask(url: string): Promise<Asked> {
  const request = get(url, { agent: false, headers: { connection: 'keep-alive' } });
  request.on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return { request, response };
}

if (!isHotpathBuilt()) t.pass('the addon was not built: there is no cargo here');
for (const transport of isHotpathBuilt() ? (['plain', 'hotpath'] as const) : (['plain'] as const)) {
  t.test(`${transport}: answers beyond the bound are refused with Retry-After`, async (t) => {
    const dir = workDirOf(t, { data: {} });
    const file = join(dir, 'data', 'a.bin');
    await writeFile(file, '');
    await truncate(file, fileBytes);
    const running = await startTestStandalone({
      workDir: join(dir, 'work'),
      mounts: [{ path: '/data', ufsUri: join(dir, 'data'), options: {} }],
      definitions: [
        `alluxio.worker.transport=${transport}`,
        `alluxio.worker.answers.max=${answersMax}`,
        'alluxio.worker.metadata.default.max.age=1h',
      ],
    });
    t.teardown(() => running.stop());
    const url = `${running.s3}/data/a.bin`;
    const readWhole = async (): Promise<void> => {
      const { request, response } = await ask(url);
      await once(response.resume(), 'end');
      request.destroy();
      await running.standalone.worker.cache.idle();
    };
    await readWhole();
    if (transport === 'hotpath') {
      await until(async () => {
        await readWhole();
        return (await metricOf(running.web, 'alluxio_hotpath_answers_total')) > 0;
      });
    }

    const asked: Asked[] = [];
    t.teardown(() => asked.forEach(({ request }) => request.destroy()));
    for (let client = 0; client < clientCount; client++) asked.push(await ask(url));
    const statuses = asked.map(({ response }) => response.statusCode);
    const places = placesOf[transport];
    const wanted = Array.from({ length: clientCount }, (_, client) => (client < places ? 200 : 503));
    t.strictSame(statuses, wanted);
    const last = asked.at(-1)?.response;
    if (!last) throw new Error('somebody was refused');
    t.equal(last.headers['retry-after'], '1');
    t.equal(last.headers['content-type'], 'application/xml');
    const id = String(last.headers['x-amz-request-id']);
    const message = `${answersMax} answers are under way already (alluxio.worker.answers.max)`;
    t.equal(
      await text(last),
      `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>${message}</Message><Resource>/data/a.bin</Resource><RequestId>${id}</RequestId></Error>`,
    );
    const target = `/v1/file/${fileIdOf(file)}/page/0?ufsFullPath=${encodeURIComponent(file)}`;
    const rest = await fetch(running.rest + target);
    t.equal(rest.status, 503);
    t.equal(rest.headers.get('retry-after'), '1');
    t.same(await rest.json(), { code: 'Overloaded', message, requestId: rest.headers.get('x-request-id') });
    t.equal((await fetch(url, { method: 'HEAD' })).status, 200, 'what has no body needs no place');

    asked[0]?.request.destroy();
    await until(async () => {
      const again = await ask(url);
      asked.push(again);
      return again.response.statusCode === 200;
    });
  });
}
