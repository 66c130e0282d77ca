/** A page transport in a process of its own, for tests that count what connections cost: `idle-server.ts <plain|hotpath> <keepAliveTimeoutMs>`. Says its port, and its memory whenever it is asked. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { textBody } from '@alluxio-ts/common/body';
import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { HotpathTransport, hotpathTransportDefaults } from '@alluxio-ts/transport/hotpath-transport';
import { PlainTransport, plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';

const [, , kind = '', keepAliveText = ''] = process.argv;
const options = {
  ...plainTransportDefaults,
  keepAliveTimeoutMs: Number(keepAliveText),
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
  slots: new SlotPool({ slotCount: 1, slotSizeBytes: 4096 }),
  onAnswered: () => undefined,
};
const transport =
  kind === 'hotpath'
    ? new HotpathTransport({
        ...options,
        ...hotpathTransportDefaults,
        onTableReport: () => undefined,
        timeBoundsMs: [1],
        reportsAnswers: false,
      })
    : new PlainTransport(options);
const { port } = await transport.listen({
  host: '127.0.0.1',
  port: 0,
  name: 'idle',
  handler: async () => ({ status: 200, headers: [], body: textBody('ok') }),
});
process.on('message', (asked: 'memory' | 'close') => {
  if (asked === 'memory') process.send?.({ rssBytes: process.memoryUsage().rss });
  else void transport.close({ deadlineMs: 10_000 }).then(() => process.disconnect?.());
});
process.send?.({ port });
