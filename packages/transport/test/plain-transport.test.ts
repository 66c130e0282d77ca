import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { PlainTransport, plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import t from 'tap';
import { describeTransport } from './support/transport-conformance.ts';

describeTransport(
  t,
  (slots) =>
    new PlainTransport({
      ...plainTransportDefaults,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      slots,
      onAnswered: () => undefined,
    }),
);
