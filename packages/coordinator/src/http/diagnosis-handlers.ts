import type { ClusterDoctor } from '../control/cluster-doctor.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface DiagnosisHandlersOptions {
  readonly doctor: ClusterDoctor;
}

export function diagnosisHandlers({
  doctor,
}: DiagnosisHandlersOptions): Pick<CoordinatorHandlers, 'getDiagnosis' | 'measureDisks'> {
  return {
    getDiagnosis: () => doctor.diagnose({ measuresDisks: false }),
    measureDisks: () => doctor.diagnose({ measuresDisks: true }),
  };
}
