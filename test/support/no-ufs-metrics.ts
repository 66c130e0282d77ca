import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';

/** For storages whose calls nobody counts. */
export const noUfsMetrics: UfsMetrics = {
  calls: () => undefined,
  bytes: () => undefined,
  latencyMs: () => undefined,
  retry: () => undefined,
  hedge: () => undefined,
  pausedMs: () => undefined,
};
