/** `alluxio rule`: which files are kept in the cache, and for how long they are taken as unchanged. */

import type { Rule } from '@alluxio-ts/common/protocol/rules';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import type { ProgramOptions } from './context.ts';

interface AddFlags extends JsonFlag {
  readonly pattern: string;
  readonly data?: string;
  readonly metadata?: string;
}

export function addRuleCommands(program: Command, context: ProgramOptions): void {
  const rule = program
    .command('rule')
    .description('Says which files are kept in the cache, and for how long they are taken as unchanged.')
    .addHelpText('after', ruleHelp);
  rule
    .command('add')
    .description('Adds a rule, or replaces the one of the same pattern. Every worker follows it at once.')
    .requiredOption('--pattern <regex>', 'a regular expression that matches the whole UFS path of a file')
    .option('--data <policy>', 'what holds for its bytes: immutable, skipCache or maxAge=<duration>')
    .option('--metadata <policy>', 'what holds for what is known of it: the same words')
    .addOption(jsonOption())
    .addHelpText('after', addHelp)
    .action((flags: AddFlags) => add(context, flags));
  rule
    .command('list')
    .description('Shows all rules of the cluster.')
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  alluxio rule list\n  alluxio rule list --json\n')
    .action((flags: JsonFlag) => list(context, flags));
  rule
    .command('remove')
    .description('Removes a rule.')
    .requiredOption('--pattern <regex>', 'the pattern as it was added')
    .addOption(jsonOption())
    .addHelpText('after', "\nExamples:\n  alluxio rule remove --pattern 's3://bucket/tmp/.*'\n")
    .action((flags: RemoveFlags) => remove(context, flags));
}

async function add(context: ProgramOptions, flags: AddFlags): Promise<void> {
  const { pattern, data, metadata } = flags;
  const rule = {
    pattern,
    ...(data === undefined ? {} : { data }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  const added = await withCoordinator(context, (client) => client.putRule(rule));
  await print(context, flags, { data: structured(added), text: `Added rule ${formatRule(added)}\n` });
}

async function list(context: ProgramOptions, flags: JsonFlag): Promise<void> {
  const rules = await withCoordinator(context, (client) => client.listRules());
  await print(context, flags, {
    data: { rules: rules.map(structured) },
    text: ['Listing all cache rules', ...rules.map(formatRule), ''].join('\n'),
    table: {
      header: ['Pattern', 'Data', 'Metadata'],
      rows: rules.map(({ pattern, data = '', metadata = '' }) => [pattern, data, metadata]),
    },
  });
}

interface RemoveFlags extends JsonFlag {
  readonly pattern: string;
}

async function remove(context: ProgramOptions, flags: RemoveFlags): Promise<void> {
  const removed = await withCoordinator(context, (client) => client.removeRule(flags.pattern));
  await print(context, flags, { data: structured(removed), text: `Removed rule ${formatRule(removed)}\n` });
}

/** `s3://bucket/tmp/.* data=skipCache metadata=maxAge=10s` */
function formatRule(rule: Rule): string {
  return Object.entries(structured(rule))
    .map(([name, value]) => (name === 'pattern' ? value : `${name}=${value}`))
    .join(' ');
}

function structured({ pattern, data, metadata }: Rule): Readonly<Record<string, string>> {
  return {
    pattern,
    ...(data === undefined ? {} : { data }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

const ruleHelp = `
Examples:
  alluxio rule add --pattern 's3://bucket/tmp/.*' --data skipCache
  alluxio rule list
  alluxio rule remove --pattern 's3://bucket/tmp/.*'
`;

const addHelp = `
Where several rules match, skipCache goes before maxAge before immutable, and of several ages the shortest
counts. What no rule says is as the worker's own configuration has it. Needs the admin token.

Examples:
  alluxio rule add --pattern 's3://bucket/tmp/.*' --data skipCache
  alluxio rule add --pattern 's3://bucket/hourly/.*' --metadata maxAge=1h
  alluxio rule add --pattern 's3://bucket/published/.*' --data immutable
`;
