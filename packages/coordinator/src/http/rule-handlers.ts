import type { RuleControl } from '../control/rule-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface RuleHandlersOptions {
  readonly rules: RuleControl;
}

export function ruleHandlers({
  rules,
}: RuleHandlersOptions): Pick<CoordinatorHandlers, 'listRules' | 'putRule' | 'removeRule'> {
  return {
    listRules: async ({ signal }) => ({ rules: await rules.list({ signal }) }),
    putRule: async ({ body, signal }) => rules.put(body, { signal }),
    removeRule: async ({ query, signal }) => rules.remove(query.pattern, { signal }),
  };
}
