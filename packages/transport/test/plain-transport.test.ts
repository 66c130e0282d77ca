import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import { PlainTransport, plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import t from 'tap';
import { describeRawRequests } from './support/raw-suite.ts';
import { describeTransport } from './support/transport-conformance.ts';

function makeTransport(
  slots: SlotPool,
  answersMax: number = plainTransportDefaults.answersMax,
): PlainTransport {
  return new PlainTransport({
    ...plainTransportDefaults,
    answersMax,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    slots,
    onAnswered: () => undefined,
  });
}

describeTransport(t, makeTransport);
describeRawRequests(t, makeTransport);
