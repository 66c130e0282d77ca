import type { TtlControl } from '../control/ttl-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface TtlHandlersOptions {
  readonly ttl: TtlControl;
}

export function ttlHandlers({
  ttl,
}: TtlHandlersOptions): Pick<CoordinatorHandlers, 'listTtlRules' | 'putTtlRule' | 'removeTtlRule'> {
  return {
    listTtlRules: async ({ signal }) => ({ rules: await ttl.list({ signal }) }),
    putTtlRule: async ({ body: { mustExist, ...rule }, signal }) => ttl.put(rule, { mustExist, signal }),
    removeTtlRule: async ({ query, signal }) => ttl.remove(query.path, { signal }),
  };
}
