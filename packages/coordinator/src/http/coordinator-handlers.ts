import type { CoordinatorOperations } from '@alluxio-ts/common/protocol/coordinator-operations';
import type { OperationHandlers } from './operation-routes.ts';

/** A handler for each call of the coordinator, by the operation's id. */
export type CoordinatorHandlers = OperationHandlers<CoordinatorOperations>;
