/** How the whole cluster is: the state store, the storages behind the mounts as this process reaches them, and what each worker says of itself. */

import { hasErrorCode } from '@alluxio-ts/common/errors';
import {
  type ClusterDiagnosis,
  type Fault,
  faultOf,
  type ProcessFacts,
  type StateStoreDiagnosis,
  type WorkerReport,
} from '@alluxio-ts/common/protocol/diagnosis';
import { SingleFlight } from '@alluxio-ts/common/single-flight';
import type { MountControl } from './mount-control.ts';

export interface DiagnosisCall {
  /** Writes to the disks of the workers. */
  readonly measuresDisks: boolean;
}

/** What the coordinator is given to look at what it does not hold itself. */
export interface Inspection {
  facts(): Promise<ProcessFacts>;
  /** Never fails: what is wrong is in it. */
  stateStore(): Promise<StateStoreDiagnosis>;
  /** Those that are registered, in the order of their ids. Fails with StateStoreUnavailable. */
  workers(call: DiagnosisCall): Promise<readonly WorkerReport[]>;
}

export interface ClusterDoctorOptions {
  readonly inspection: Inspection;
  readonly mounts: MountControl;
  readonly isAdminOpen: boolean;
}

export class ClusterDoctor {
  readonly #options: ClusterDoctorOptions;
  /** Anyone may ask, and however many do, each storage and worker is asked once. */
  readonly #running = new SingleFlight<boolean, ClusterDiagnosis>();

  constructor(options: ClusterDoctorOptions) {
    this.#options = options;
  }

  diagnose(call: DiagnosisCall): Promise<ClusterDiagnosis> {
    return this.#running.run(call.measuresDisks, () => this.#diagnose(call));
  }

  async #diagnose(call: DiagnosisCall): Promise<ClusterDiagnosis> {
    const { inspection, isAdminOpen, mounts } = this.#options;
    let lost: Fault | undefined;
    const looked = Promise.all([mounts.probeAll(), inspection.workers(call)]).catch((thrown: unknown) => {
      // Then nobody knows what there is to look at; that it is away is a finding, and the rest is still wanted.
      if (!hasErrorCode(thrown, 'StateStoreUnavailable')) throw thrown;
      lost = faultOf(thrown);
      return [[], []] as const;
    });
    const [stateStore, [probes, workers]] = await Promise.all([inspection.stateStore(), looked]);
    // Last, since the clock of now is one of the facts.
    const facts = await inspection.facts();
    return {
      coordinator: { ...facts, isAdminOpen },
      stateStore: { ...(lost ? { fault: lost } : {}), ...stateStore },
      mounts: [...probes],
      workers: [...workers],
    };
  }
}
