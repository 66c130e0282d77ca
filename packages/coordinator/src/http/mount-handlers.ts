import type { MountView } from '@alluxio-ts/common/protocol/coordinator-api';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import type { MountControl } from '../control/mount-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface MountHandlersOptions {
  readonly mounts: MountControl;
}

export function mountHandlers({
  mounts,
}: MountHandlersOptions): Pick<CoordinatorHandlers, 'listMounts' | 'addMount' | 'removeMount'> {
  return {
    listMounts: async ({ signal }) => ({ mounts: (await mounts.list({ signal })).map(viewOf) }),
    addMount: async ({ body, signal }) => viewOf(await mounts.add(body, { signal })),
    removeMount: async ({ query, signal }) => viewOf(await mounts.remove(query.path, { signal })),
  };
}

function viewOf({ path, ufsUri, options }: Mount): MountView {
  return { path, ufsUri, options };
}
