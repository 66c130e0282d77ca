/** `alluxio ttl`: how long files may stay in the cache. */

import type { TtlRule } from '@alluxio-ts/common/protocol/ttl-rules';
import { formatDuration, parseDuration } from '@alluxio-ts/common/units';
import type { Command } from 'commander';
import { withCoordinator } from './connections.ts';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { optionsOf, type ProgramOptions, tell } from './context.ts';

interface PathFlags extends JsonFlag {
  readonly path: string;
}

interface RuleFlags extends PathFlags {
  readonly time: string;
}

export function addTtlCommands(program: Command, context: ProgramOptions): void {
  const ttl = program
    .command('ttl')
    .description('Says how long files may stay in the cache, counted from when they were loaded.')
    .addHelpText('after', ttlHelp);
  withRuleFlags(ttl.command('add'))
    .description('Adds a rule, or replaces the one of the same directory. Every worker follows it at once.')
    .addHelpText('after', addHelp)
    .action((flags: RuleFlags) => put(context, flags, { mustExist: false }));
  ttl
    .command('list')
    .description('Shows all rules of the cluster.')
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  alluxio ttl list\n  alluxio ttl list --json\n')
    .action((flags: JsonFlag) => list(context, flags));
  withRuleFlags(ttl.command('update'))
    .description('Changes the time of a rule that is there.')
    .addHelpText('after', '\nExamples:\n  alluxio ttl update --path /s3/data/ --time 2h\n')
    .action((flags: RuleFlags) => put(context, flags, { mustExist: true }));
  ttl
    .command('remove')
    .description('Removes a rule. What is cached stays.')
    .requiredOption('--path <path>', 'the directory as it was added')
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  alluxio ttl remove --path /s3/data/\n')
    .action((flags: PathFlags) => remove(context, flags));
}

function withRuleFlags(command: Command): Command {
  return command
    .requiredOption('--path <path>', 'a directory of the namespace, which a mount holds')
    .requiredOption('--time <duration>', 'how long its files may stay, from 1s on: 90s, 1h, 7d')
    .addOption(jsonOption());
}

async function put(
  context: ProgramOptions,
  flags: RuleFlags,
  { mustExist }: { readonly mustExist: boolean },
): Promise<void> {
  const { path, time } = flags;
  const rule = await withCoordinator(context, (client) => client.putTtlRule({ path, time, mustExist }));
  const warning = warningOf(context, rule);
  // Standard output is the JSON alone.
  if (flags.json && warning !== '') tell(context, warning.trimEnd());
  const text = `${warning}${mustExist ? 'Updated' : 'Added'} ${formatRule(rule)}\n`;
  await print(context, flags, { data: { ...rule }, text });
}

async function list(context: ProgramOptions, flags: JsonFlag): Promise<void> {
  const rules = await withCoordinator(context, (client) => client.listTtlRules());
  await print(context, flags, {
    data: { rules: rules.map((rule) => ({ ...rule })) },
    text: ['Listing all TTL rules', ...rules.map(({ path, time }) => `${path} time=${time}`), ''].join('\n'),
    table: { header: ['Path', 'Time'], rows: rules.map(({ path, time }) => [path, time]) },
  });
}

async function remove(context: ProgramOptions, flags: PathFlags): Promise<void> {
  const rule = await withCoordinator(context, (client) => client.removeTtlRule(flags.path));
  await print(context, flags, { data: { ...rule }, text: `Removed ${formatRule(rule)}\n` });
}

function formatRule({ path, time }: TtlRule): string {
  return `alluxioPath=${path} and time=${time}`;
}

/** A rule is still kept that is shorter than the time between two looks; its files go at the next one. */
function warningOf(context: ProgramOptions, { time }: TtlRule): string {
  const intervalMs = optionsOf(context).get(intervalOption);
  if (parseDuration(time) >= intervalMs) return '';
  const lines = `Expired files are looked for every ${formatDuration(intervalMs)} (${intervalOption}).`;
  return `Warning: You are setting TTL policy to ${time}. This TTL is too small. ${lines}\n`;
}

const intervalOption = 'alluxio.ttl.eviction.check.interval';

const ttlHelp = `
Examples:
  alluxio ttl add --path /s3/data/ --time 1h
  alluxio ttl list
  alluxio ttl update --path /s3/data/ --time 2h
  alluxio ttl remove --path /s3/data/
`;

const addHelp = `
Holds for all files below the directory; of rules for directories within each other the one of the innermost
counts. Files whose time is over are dropped when workers look for them, every alluxio.ttl.eviction.check.interval
and when a rule comes. Needs the admin token.

Examples:
  alluxio ttl add --path /s3/data/ --time 1h
  alluxio ttl add --path /s3/data/hot/ --time 7d
`;
