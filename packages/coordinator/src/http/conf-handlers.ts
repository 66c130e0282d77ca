import type { ConfControl } from '../control/conf-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface ConfHandlersOptions {
  readonly conf: ConfControl;
}

export function confHandlers({
  conf,
}: ConfHandlersOptions): Pick<CoordinatorHandlers, 'listConf' | 'putConf' | 'removeConf'> {
  return {
    listConf: async ({ signal }) => ({ entities: await conf.list({ signal }) }),
    putConf: async ({ body, signal }) => conf.put(body, { signal }),
    removeConf: async ({ query, signal }) => conf.remove(query.key, { signal }),
  };
}
