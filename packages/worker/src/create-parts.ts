/** The parts of a worker that come in kinds: its transport, what receives its fills, what relays to other workers. */

import { latencyBucketsMs } from '@alluxio-ts/common/metrics';
import type { WorkerTransport } from '@alluxio-ts/common/protocol/coordinator-api';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import { findHotpathAddon } from '@alluxio-ts/transport/hotpath-addon';
import {
  HotpathTransport,
  type HotpathTransportOptions,
  hotpathTransportDefaults,
} from '@alluxio-ts/transport/hotpath-transport';
import type { AnsweredRequest } from '@alluxio-ts/transport/page-transport';
import { PlainTransport, plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import { type FillRunner, LocalFillRunner } from './cache/fill-runner.ts';
import { ThreadFillRunner, type ThreadFillRunnerOptions } from './cache/thread-fill-runner.ts';
import { PeerRelay, type PeerRelayOptions } from './cluster/peer-relay.ts';
import { threadFileOf } from './thread-file.ts';
import { recordAnswer } from './worker-observation.ts';
import type { ClusterParts, TransportChoice, TransportKind, WorkerParts } from './worker-options.ts';

/** Each of them is an open file. */
export const workerConnectionsMax = plainTransportDefaults.connectionsMax;

/** What runs of what is configured: plain where this installation has nothing else. */
export function chooseTransport(configured: TransportChoice): WorkerTransport {
  if (configured === 'plain') return { kind: 'plain', configured };
  const addon = findHotpathAddon();
  if (addon.kind === 'there') return { kind: 'hotpath', configured };
  return { kind: 'plain', configured, ...(configured === 'auto' ? {} : { reason: addon.reason }) };
}

/** Connections to each peer. */
const peerConnectionsMax = 64;

export function createRelay(
  cluster: ClusterParts,
  parts: Pick<PeerRelayOptions, 'self' | 'clock' | 'logger' | 'onRoutesChanged'>,
): PeerRelay {
  return new PeerRelay({
    ...parts,
    placement: cluster.placement,
    secret: cluster.secret,
    redirectsS3: cluster.redirectsS3 ?? false,
    connectionsMax: peerConnectionsMax,
  });
}

export function createFillRunner(
  threadCount: number,
  parts: WorkerParts,
  slots: SlotPool,
  openingOf: ThreadFillRunnerOptions['openingOf'],
): FillRunner {
  if (threadCount === 0) return new LocalFillRunner(slots);
  const { schemes, ...ufsOfThreads } = parts.ufsOfThreads;
  return new ThreadFillRunner({
    ...ufsOfThreads,
    slots,
    threadCount,
    threadFile: threadFileOf('fill-thread'),
    id: parts.random.uuid(),
    openingOf: (mount) => (schemes.includes(mount.uri.scheme) ? openingOf(mount) : undefined),
    onRestart: () => parts.metrics.add('alluxio_fill_threads_restarted_total', {}, 1),
    logger: parts.logger,
  });
}

export function createTransport(
  kind: TransportKind,
  parts: WorkerParts & {
    readonly slots: SlotPool;
    readonly answersMax: number;
    readonly logsAccess: boolean;
    readonly onAnswered: (answered: AnsweredRequest) => void;
    readonly onTableReport: HotpathTransportOptions['onTableReport'];
  },
): PlainTransport | HotpathTransport {
  const { answersMax, clock, logger, random, slots } = parts;
  const options = {
    ...plainTransportDefaults,
    answersMax,
    clock,
    random,
    logger,
    slots,
    onAnswered: (answered: AnsweredRequest) => {
      recordAnswer(answered, parts);
      parts.onAnswered(answered);
    },
  };
  if (kind === 'plain') return new PlainTransport(options);
  return new HotpathTransport({
    ...options,
    ...hotpathTransportDefaults,
    onTableReport: parts.onTableReport,
    timeBoundsMs: latencyBucketsMs,
    reportsAnswers: parts.logsAccess,
    peerSecret: parts.cluster?.secret,
  });
}
